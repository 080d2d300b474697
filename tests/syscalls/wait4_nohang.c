/* What does WNOHANG say before and after the child has ended, and of two children? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	int status = 4711;
	pid_t first = spawn(), second;

	if (!first) {
		wait_for(step, 1);
		_exit(1);
	}
	second = spawn();
	if (!second) {
		wait_for(step, 2);
		_exit(2);
	}
	CALL(wait4, first, &status, WNOHANG, NULL);
	CALL(wait4, -1, &status, WNOHANG, NULL);
	CALL(wait4, 0, &status, WNOHANG, NULL);
	SHOW(status);
	*step = 1;
	await(first, WEXITED);
	CALL(wait4, second, &status, WNOHANG, NULL);
	SHOW(status);
	CHECK(syscall(SYS_wait4, -1, &status, WNOHANG, NULL) == first);
	show_wait_status("first", status);
	CALL(wait4, -1, &status, WNOHANG, NULL);
	*step = 2;
	reap("second", second);
	CALL(wait4, -1, &status, WNOHANG, NULL);
	return report_status();
}
