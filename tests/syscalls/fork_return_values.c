/* What does fork(2) return to whom, and how are the two related? */
#include "process.h"

int main(void)
{
	volatile pid_t *told = share_pages(1);
	pid_t parent = getpid(), grandparent = getppid();
	pid_t child = syscall(SYS_fork);

	if (child == 0) {
		told[0] = getpid();
		told[1] = getppid();
		told[2] = syscall(SYS_gettid);
		_exit(0);
	}
	reap("child", child);
	CHECK(child > 0);
	CHECK(child != parent);
	CHECK(told[0] == child);
	CHECK(told[1] == parent);
	/* A process of one thread: both numbers are one. */
	CHECK(told[2] == child);
	CHECK(getpid() == parent && getppid() == grandparent);
	return report_status();
}
