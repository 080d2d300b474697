/* Whose child is a process whose parent has ended? */
#include "process.h"

int main(void)
{
	volatile pid_t *seen = share_pages(1);
	volatile int *step = (volatile int *)seen + 16;
	pid_t self = getpid(), child;
	int status;

	CALL(prctl, PR_SET_CHILD_SUBREAPER, 1L);
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			seen[0] = getpid();
			seen[1] = getppid();
			step[0] = 1;
			wait_for(step, 2);
			seen[2] = getppid();
			_exit(5);
		}
		wait_for(step, 1);
		_exit(4);
	}
	reap("child", child);
	CHECK(seen[1] == child);
	/* It is ours now: we may wait for it. */
	CALL(wait4, seen[0], NULL, WNOHANG, NULL);
	step[0] = 2;
	CHECK(waitpid(-1, &status, 0) == seen[0]);
	show_wait_status("grandchild", status);
	CHECK(seen[2] == self);

	/* A zombie is handed on, too, and its status with it. */
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild)
			_exit(6);
		seen[0] = grandchild;
		await(grandchild, WEXITED);
		_exit(0);
	}
	reap("child", child);
	reap("grandchild", seen[0]);
	CALL(wait4, -1, NULL, 0, NULL);
	return report_status();
}
