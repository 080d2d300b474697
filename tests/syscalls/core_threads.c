/* Does a core end all threads, the sleeping ones too, and is every thread's end the same? */
#include "signals.h"

static volatile int tid[3], ready;

static int sleeper(void *unused)
{
	(void)unused;
	__sync_fetch_and_add(&ready, 1);
	for (;;)
		pause();
}

static int spinner(void *unused)
{
	(void)unused;
	__sync_fetch_and_add(&ready, 1);
	for (;;)
		;
}

static int crasher(void *unused)
{
	(void)unused;
	while (ready < 2)
		pause_ms(1);
	*(volatile int *)8 = 1;
	return 0;
}

int main(void)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t child;

	enter_scratch("core_threads");
	child = spawn();
	if (!child) {
		setrlimit(RLIMIT_CORE, &core);
		start_thread(sleeper, NULL, &tid[0]);
		start_thread(spinner, NULL, &tid[1]);
		start_thread(crasher, NULL, &tid[2]);
		for (;;)
			pause_ms(1000);
	}
	reap("child", child);
	SHOW(unlink("core"));
	leave_scratch();
	return report_status();
}
