/* Does a signal that ends one thread end the process, whoever gets it? */
#include "process.h"

static volatile int tid, *step;

static int sleeps(void *unused)
{
	(void)unused;
	*step = 1;
	for (;;)
		pause_ms(10000);
	return 0;
}

static int faults(void *unused)
{
	(void)unused;
	*(volatile int *)8 = 1;
	return 0;
}

static pid_t start_process(int (*thread)(void *), int wait)
{
	pid_t child;

	step[0] = step[1] = 0;
	child = spawn();
	if (!child) {
		without_core();
		step[1] = start_thread(thread, NULL, &tid);
		for (;;)
			pause_ms(10000);
	}
	if (wait)
		wait_for(step, 1);
	return child;
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	child = start_process(sleeps, 1);
	kill(child, SIGTERM);
	reap("SIGTERM to the process", child);
	child = start_process(sleeps, 1);
	while (!step[1])
		pause_ms(1);
	syscall(SYS_tgkill, child, step[1], SIGUSR1);
	reap("SIGUSR1 to the thread", child);
	child = start_process(sleeps, 1);
	while (!step[1])
		pause_ms(1);
	syscall(SYS_tgkill, child, step[1], SIGKILL);
	reap("SIGKILL to the thread", child);
	child = start_process(faults, 0);
	reap("fault in the thread", child);
	return report_status();
}
