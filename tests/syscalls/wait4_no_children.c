/* What does wait4(2) say to a process that has no child, or not that one? */
#include "process.h"

int main(void)
{
	int status = 12345;
	pid_t child;

	CALL(wait4, -1, &status, 0, NULL);
	CALL(wait4, -1, &status, WNOHANG, NULL);
	CALL(wait4, 0, &status, 0, NULL);
	CALL(wait4, 1, &status, 0, NULL);
	CALL(wait4, 0x7fffffff, &status, 0, NULL);
	CALL(wait4, -0x7fffffff, &status, 0, NULL);
	CALL(wait4, getpid(), &status, 0, NULL);
	CALL(wait4, getppid(), &status, 0, NULL);
	CALL(wait4, -1, &status, WUNTRACED | WCONTINUED | __WALL, NULL);
	child = spawn();
	if (!child) {
		/* Its parent's children are not its own. */
		CALL(wait4, -1, NULL, 0, NULL);
		_exit(0);
	}
	await(child, WEXITED);
	CALL(wait4, getpid(), &status, WNOHANG, NULL);
	CALL(wait4, -child, &status, WNOHANG, NULL);
	SHOW(status);
	reap("child", child);
	/* Once is enough. */
	CALL(wait4, child, &status, 0, NULL);
	CALL(wait4, -1, &status, 0, NULL);
	return report_status();
}
