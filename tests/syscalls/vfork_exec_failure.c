/* Can a parent see in its memory why its vfork(2) child could not execute a program? */
#include "process.h"

static volatile int error;
static volatile pid_t child;

int main(void)
{
	static char *const argv[] = { "none", NULL };

	child = vfork();
	if (!child) {
		execve("/nowhere/none", argv, NULL);
		error = errno;
		execve("/", argv, NULL);
		_exit(127);
	}
	reap("child", child);
	say("first %s, then %s\n", strerrorname_np(error), strerrorname_np(errno));
	return report_status();
}
