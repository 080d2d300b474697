/* Is an orphan that is stopped still stopped, and may its new parent wait for that? */
#include "process.h"

int main(void)
{
	volatile pid_t *told = share_pages(1);
	pid_t child;
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			raise(SIGSTOP);
			_exit(6);
		}
		told[0] = grandchild;
		await(grandchild, WSTOPPED);
		_exit(0);
	}
	reap("child", child);
	CHECK(waitpid(told[0], &status, WUNTRACED) == told[0]);
	show_wait_status("grandchild", status);
	kill(told[0], SIGCONT);
	reap("grandchild", told[0]);

	/* What its first parent has seen already is not seen again. */
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			raise(SIGSTOP);
			_exit(7);
		}
		told[0] = grandchild;
		waitpid(grandchild, NULL, WUNTRACED);
		_exit(0);
	}
	reap("child", child);
	CALL(wait4, told[0], NULL, WUNTRACED | WNOHANG, NULL);
	kill(told[0], SIGCONT);
	reap("grandchild", told[0]);
	return report_status();
}
