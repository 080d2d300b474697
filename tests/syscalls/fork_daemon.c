/* The way a daemon is made: is what comes out at the end nobody's, and free of its session? */
#include "process.h"

int main(void)
{
	volatile pid_t *told = share_pages(1);
	volatile int *step = (volatile int *)told + 16;
	pid_t session = getsid(0), child;
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	child = spawn();
	if (!child) {
		if (setsid() < 0)
			die("begin a session");
		if (spawn())
			_exit(0);
		/* A member of the session, but not its leader. */
		chdir("/");
		umask(0);
		told[0] = getpid();
		told[1] = getsid(0);
		told[2] = getpgrp();
		wait_for(step, 1);
		told[3] = getppid();
		_exit(9);
	}
	reap("first", child);
	*step = 1;
	CHECK(waitpid(-1, &status, 0) == told[0]);
	show_wait_status("daemon", status);
	CHECK(told[1] == child && told[2] == child);
	CHECK(told[0] != child);
	CHECK(told[1] != session);
	CHECK(told[3] == getpid());
	return report_status();
}
