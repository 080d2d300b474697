/* When does wait4(2) tell of a child that stops, and of one that goes on? */
#include "process.h"

int main(void)
{
	static const int stop[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	volatile int *step = share_pages(1);
	int status;
	pid_t child;

	for (unsigned i = 0; i < ARRAY_SIZE(stop); i++) {
		/* In a group of its own, which is no orphan: its parent is in another. */
		*step = 0;
		child = spawn();
		if (!child) {
			setpgid(0, 0);
			kill(getpid(), stop[i]);
			wait_for(step, 1);
			_exit(3);
		}
		await(child, WSTOPPED);
		/* Not without being asked. */
		CALL(wait4, child, &status, WNOHANG, NULL);
		CALL(wait4, child, &status, WNOHANG | WCONTINUED, NULL);
		CHECK(syscall(SYS_wait4, child, &status, WUNTRACED, NULL) == child);
		show_wait_status("child", status);
		/* And once. */
		CALL(wait4, child, &status, WNOHANG | WUNTRACED, NULL);
		kill(child, SIGCONT);
		CHECK(syscall(SYS_wait4, child, &status, WCONTINUED, NULL) == child);
		show_wait_status("child", status);
		*step = 1;
		reap("child", child);
	}
	return report_status();
}
