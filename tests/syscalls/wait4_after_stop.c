/* Does a wait go on when the process that waits was stopped meanwhile? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	int status;
	pid_t child = spawn();

	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			wait_for(step, 2);
			_exit(21);
		}
		step[0] = 1;
		CHECK(syscall(SYS_wait4, grandchild, &status, 0, NULL) == grandchild);
		show_wait_status("grandchild", status);
		_exit(report_status());
	}
	wait_for(step, 1);
	for (int i = 0; i < 3; i++) {
		pause_ms(3);
		kill(child, SIGSTOP);
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	}
	/* It ends while its parent stands still. */
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	step[0] = 2;
	pause_ms(5);
	kill(child, SIGCONT);
	reap("child", child);
	return report_status();
}
