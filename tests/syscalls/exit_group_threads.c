/* Does exit_group(2) of any thread end them all, whatever they do? */
#include "process.h"

static volatile int tid[4], running, *step;

static int sleeps(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	pause_ms(100000);
	*step = -1;
	return 0;
}

static int spins(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	for (;;)
		sched_yield();
	return 0;
}

static int waits(void *unused)
{
	int child = syscall(SYS_fork);

	(void)unused;
	if (!child) {
		wait_for(step, 5);
		syscall(SYS_exit_group, 0);
	}
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	waitpid(child, NULL, 0);
	*step = -1;
	return 0;
}

static int ends(void *unused)
{
	(void)unused;
	wait_for(&running, 3);
	*step = 1;
	syscall(SYS_exit_group, 11);
	return 0;
}

int main(void)
{
	pid_t child;
	int status;

	step = share_pages(1);
	/* The child of the thread that waits comes to us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	child = spawn();
	if (!child) {
		start_thread(sleeps, NULL, &tid[0]);
		start_thread(spins, NULL, &tid[1]);
		start_thread(waits, NULL, &tid[2]);
		start_thread(ends, NULL, &tid[3]);
		pause_ms(100000);
		*step = -1;
		_exit(0);
	}
	reap("exit_group in a thread", child);
	SHOW(*step);
	*step = 5;
	CHECK(waitpid(-1, &status, 0) > 0);
	show_wait_status("orphan", status);
	return report_status();
}
