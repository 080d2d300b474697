/* What is there of a child that has ended, until its parent waits? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child = spawn();

	if (!child) {
		setpgid(0, 0);
		*step = getpgrp();
		_exit(5);
	}
	await(child, WEXITED);
	CHECK(*step == child);
	CALL(kill, child, 0);
	CALL(kill, child, SIGTERM);
	CALL(kill, child, SIGKILL);
	CALL(kill, -child, 0);
	CALL(tkill, child, 0);
	CALL(tgkill, child, child, SIGCONT);
	CHECK(getpgid(child) == child);
	CHECK(getsid(child) == getsid(0));
	CALL(wait4, child, NULL, WNOHANG | WUNTRACED | WCONTINUED | __WCLONE, NULL);
	reap("child", child);
	CALL(kill, child, 0);
	CALL(kill, -child, 0);
	CALL(tkill, child, 0);
	CALL(tgkill, child, child, 0);
	CALL(getpgid, child);
	CALL(getsid, child);
	CALL(setpgid, child, 0);
	return report_status();
}
