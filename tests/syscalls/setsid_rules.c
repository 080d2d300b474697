/* Who may begin a session, and what is one? */
#include "process.h"

int main(void)
{
	pid_t session = getsid(0), group = getpgrp(), child;

	child = spawn();
	if (!child) {
		pid_t grandchild;

		CHECK(getsid(0) == session && getpgrp() == group);
		CHECK(setsid() == getpid());
		CHECK(getsid(0) == getpid() && getpgrp() == getpid());
		CHECK(getsid(getppid()) == session);
		CALL(setsid);
		grandchild = spawn();
		if (!grandchild) {
			CHECK(getsid(0) == getppid() && getpgrp() == getppid());
			/* No leader of a group, it may. */
			CHECK(setsid() == getpid());
			_exit(report_status());
		}
		reap("grandchild", grandchild);
		_exit(report_status());
	}
	reap("child", child);

	/* The leader of a group may not. */
	child = spawn();
	if (!child) {
		setpgid(0, 0);
		CALL(setsid);
		CHECK(getsid(0) == session);
		_exit(report_status());
	}
	reap("leader of a group", child);

	/* Neither may one whose number is that of a group which it has left. */
	child = spawn();
	if (!child) {
		pid_t grandchild;

		setpgid(0, 0);
		grandchild = spawn();
		if (!grandchild)
			for (;;)
				pause_ms(10000);
		CALL(setpgid, 0, getpgid(getppid()));
		CALL(setsid);
		kill(grandchild, SIGKILL);
		reap("grandchild", grandchild);
		CHECK(setsid() == getpid());
		_exit(report_status());
	}
	reap("leader that has left", child);
	CHECK(getsid(0) == session && getpgrp() == group);
	return report_status();
}
