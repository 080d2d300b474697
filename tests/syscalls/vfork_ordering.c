/* Does a parent wait until its vfork(2) child has ended, and nobody else with it? */
#include "process.h"

/* Nothing may be on the stack that the child could spoil: all is in static memory. */
static volatile int order, child_first;
static volatile pid_t child, seen, parent;

int main(void)
{
	parent = getpid();
	child = vfork();
	if (!child) {
		seen = getpid();
		child_first = getppid() == parent;
		pause_ms(20);
		order = 1;
		_exit(5);
	}
	CHECK(order == 1);
	CHECK(child_first);
	CHECK(seen == child);
	reap("child", child);

	/* One that dies of a signal lets the parent go on, too. */
	child = vfork();
	if (!child) {
		order = 2;
		kill(getpid(), SIGKILL);
	}
	CHECK(order == 2);
	reap("killed child", child);
	return report_status();
}
