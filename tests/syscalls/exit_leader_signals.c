/* Do signals reach a process whose first thread has ended? */
#include "process.h"

static volatile int tid, *step;

static int thread_main(void *unused)
{
	(void)unused;
	*step = 1;
	for (;;)
		pause_ms(1000);
	return 0;
}

static pid_t without_leader(void)
{
	pid_t child;

	*step = 0;
	child = spawn();
	if (!child) {
		start_thread(thread_main, NULL, &tid);
		syscall(SYS_exit, 7);
	}
	wait_for(step, 1);
	pause_ms(10);
	return child;
}

int main(void)
{
	pid_t child;
	int status;

	step = share_pages(1);
	child = without_leader();
	CALL(kill, child, SIGKILL);
	reap("SIGKILL", child);

	child = without_leader();
	CALL(kill, child, SIGTERM);
	reap("SIGTERM", child);

	child = without_leader();
	CALL(kill, child, SIGSTOP);
	CHECK(waitpid(child, &status, WUNTRACED) == child);
	show_wait_status("child", status);
	CALL(kill, child, SIGCONT);
	CHECK(waitpid(child, &status, WCONTINUED) == child);
	show_wait_status("child", status);
	/* The leader itself is still there by its number. */
	CALL(tkill, child, 0);
	CHECK(getpgid(child) == getpgrp());
	CALL(setpgid, child, 0);
	CHECK(getpgid(child) == child);
	CALL(kill, -child, SIGUSR1);
	reap("SIGUSR1 to the group", child);
	return report_status();
}
