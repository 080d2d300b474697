/* Does a child of a parent that ignores SIGCHLD leave a zombie, and what does wait4(2) say? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child[3];
	int status = 4711;

	set_action(SIGCHLD, SIG_IGN, 0);
	for (int i = 0; i < 3; i++) {
		child[i] = spawn();
		if (!child[i]) {
			wait_for(step, 1);
			_exit(3);
		}
	}
	CALL(wait4, -1, &status, WNOHANG, NULL);
	*step = 1;
	/* Until all have ended; then there is nothing to tell. */
	CALL(wait4, child[1], &status, 0, NULL);
	CALL(wait4, -1, &status, 0, NULL);
	SHOW(status);
	for (int i = 0; i < 3; i++)
		CALL(kill, child[i], 0);

	/* The same with SIG_DFL and SA_NOCLDWAIT. */
	set_action(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
	child[0] = spawn();
	if (!child[0])
		_exit(3);
	CALL(wait4, child[0], &status, 0, NULL);
	CALL(kill, child[0], 0);

	/* SA_NOCLDSTOP is about signals only: that it stops can be waited for. */
	set_action(SIGCHLD, SIG_DFL, SA_NOCLDSTOP);
	child[0] = spawn();
	if (!child[0]) {
		raise(SIGSTOP);
		_exit(4);
	}
	CHECK(waitpid(child[0], &status, WUNTRACED) == child[0]);
	show_wait_status("child", status);
	kill(child[0], SIGCONT);
	reap("child", child[0]);

	/* One that has ended before is a zombie all the same. */
	child[0] = spawn();
	if (!child[0])
		_exit(5);
	await(child[0], WEXITED);
	set_action(SIGCHLD, SIG_IGN, 0);
	reap("child", child[0]);

	/* Blocked is not ignored. */
	set_action(SIGCHLD, SIG_DFL, 0);
	block(SIGCHLD);
	child[0] = spawn();
	if (!child[0])
		_exit(6);
	reap("child", child[0]);
	SHOW(is_pending(SIGCHLD));
	return report_status();
}
