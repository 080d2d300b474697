/* Is a thread's end the end of the parent, for a child that has asked for a signal then? */
#include "process.h"

static volatile int tid, *told;

static int forks(void *unused)
{
	pid_t child;

	(void)unused;
	child = syscall(SYS_fork);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGUSR1);
		told[0] = 1;
		wait_for(&told[1], 1);
		syscall(SYS_exit_group, 3);
	}
	told[2] = child;
	wait_for(told, 1);
	return 0;
}

int main(void)
{
	told = share_pages(1);
	start_thread(forks, NULL, &tid);
	wait_for(&tid, 0);
	/* The process lives, but the thread that made the child does not. */
	reap("child", told[2]);
	return report_status();
}
