/* What does the parent see of a child that stops and goes on before it asks? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	int status;
	pid_t child = spawn();

	if (!child) {
		for (int i = 1; i <= 4; i++) {
			raise(SIGSTOP);
			*step = i;
		}
		wait_for(step, 10);
		_exit(0);
	}
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	wait_for(step, 1);
	/* It stops again: that it went on is not to be seen any more. */
	await(child, WSTOPPED);
	CALL(wait4, child, &status, WNOHANG | WCONTINUED, NULL);
	CHECK(syscall(SYS_wait4, child, &status, WUNTRACED | WCONTINUED, NULL) == child);
	show_wait_status("child", status);
	/* Of one that is stopped another SIGSTOP is no news, and SIGCONT for both is one. */
	kill(child, SIGSTOP);
	kill(child, SIGTSTP);
	CALL(wait4, child, &status, WNOHANG | WUNTRACED, NULL);
	kill(child, SIGCONT);
	wait_for(step, 2);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	wait_for(step, 3);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	wait_for(step, 4);
	CHECK(syscall(SYS_wait4, child, &status, WUNTRACED | WCONTINUED, NULL) == child);
	show_wait_status("child", status);
	/* One that was not stopped does not go on. */
	kill(child, SIGCONT);
	CALL(wait4, child, &status, WNOHANG | WUNTRACED | WCONTINUED, NULL);
	*step = 10;
	reap("child", child);
	return report_status();
}
