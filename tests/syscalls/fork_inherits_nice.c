/* Is a child as nice as its parent, and is that its own? */
#include "process.h"

static void show_nice(const char *who)
{
	/* The call itself answers 20 - nice. */
	say("%s: %ld\n", who, 20 - syscall(SYS_getpriority, PRIO_PROCESS, 0));
}

int main(void)
{
	pid_t child;

	show_nice("parent at first");
	CALL(setpriority, PRIO_PROCESS, 0, 5);
	show_nice("parent");
	child = spawn();
	if (!child) {
		show_nice("child at first");
		CALL(setpriority, PRIO_PROCESS, 0, 11);
		show_nice("child");
		_exit(0);
	}
	reap("child", child);
	show_nice("parent");
	return report_status();
}
