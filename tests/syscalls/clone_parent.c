/* Whose child is one that was cloned with CLONE_PARENT, and with which signal does it end? */
#include "process.h"

static volatile pid_t *seen;

static int brother(void *unused)
{
	(void)unused;
	seen[1] = getppid();
	return 6;
}

int main(void)
{
	pid_t self = getpid(), child;
	int status;

	seen = share_pages(1);
	child = spawn();
	if (!child) {
		/* The signal that it asks for is not used: it is the caller's own. */
		seen[0] = start(brother, CLONE_PARENT | SIGUSR1, NULL);
		CALL(wait4, seen[0], NULL, __WALL, NULL);
		_exit(5);
	}
	reap("child", child);
	CHECK(waitpid(seen[0], &status, 0) == seen[0]);
	show_wait_status("brother", status);
	CHECK(seen[1] == self);
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
