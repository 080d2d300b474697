/* Which flags of clone(2) make no difference to a plain child? */
#include "process.h"

static void show_child(const char *flags, unsigned long value)
{
	pid_t child = syscall(SYS_clone, value | SIGCHLD, NULL, NULL, NULL, NULL);

	if (child < 0)
		show(flags, child);
	if (!child)
		_exit(getpid() == syscall(SYS_gettid) ? 3 : 4);
	reap(flags, child);
}

#define SHOW_CHILD(flags) show_child(#flags, flags)

int main(void)
{
	SHOW_CHILD(0);
	SHOW_CHILD(CLONE_UNTRACED);
	SHOW_CHILD(CLONE_PTRACE);
	SHOW_CHILD(CLONE_SYSVSEM);
	SHOW_CHILD(CLONE_IO);
	SHOW_CHILD(CLONE_DETACHED);
	/* Above 32 bits nothing is looked at. */
	SHOW_CHILD(1UL << 40);
	return report_status();
}
