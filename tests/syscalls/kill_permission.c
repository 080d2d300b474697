/* Which processes may a user who is not root send signals to? */
#include "process.h"

#define USER 54321
#define OTHER 54322

static volatile int *step;

static pid_t idle_child(int user)
{
	pid_t child = spawn();

	if (!child) {
		if (user && syscall(SYS_setuid, user))
			die("become another user");
		__atomic_add_fetch(step, 1, __ATOMIC_SEQ_CST);
		for (;;)
			pause_ms(10000);
	}
	return child;
}

int main(void)
{
	pid_t root, same, other, child;

	step = share_pages(1);
	child = spawn();
	if (!child) {
		CALL(setuid, USER);
		_exit(getuid() != USER);
	}
	if (reap("user", child))
		return 1;
	root = idle_child(0);
	same = idle_child(USER);
	other = idle_child(OTHER);
	wait_for(step, 3);
	child = spawn();
	if (!child) {
		if (syscall(SYS_setuid, USER))
			die("become a user");
		CALL(kill, root, 0);
		CALL(kill, root, SIGTERM);
		CALL(kill, other, SIGKILL);
		/* Within a session everybody may be continued. */
		CALL(kill, other, SIGCONT);
		CALL(kill, same, 0);
		CALL(kill, same, SIGTERM);
		CALL(kill, 1, 0);
		CALL(kill, root, 65);
		CALL(setuid, 0);
		_exit(0);
	}
	reap("child", child);
	reap("same", same);
	CALL(kill, other, SIGTERM);
	CALL(kill, root, SIGTERM);
	reap("other", other);
	reap("root", root);
	return report_status();
}
