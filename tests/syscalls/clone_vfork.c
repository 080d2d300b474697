/* Does CLONE_VFORK make the parent wait, with memory that is shared and without? */
#include "process.h"

static volatile int *order;

static int child_main(void *unused)
{
	(void)unused;
	pause_ms(10);
	order[0] = 1;
	return 4;
}

static void show_order(const char *what, int flags)
{
	pid_t child;

	order[0] = 0;
	child = start(child_main, flags | SIGCHLD, NULL);
	order[1] = order[0];
	say("%s: child first %d\n", what, order[1]);
	reap(what, child);
}

int main(void)
{
	order = share_pages(1);
	show_order("CLONE_VFORK", CLONE_VFORK);
	show_order("CLONE_VFORK | CLONE_VM", CLONE_VFORK | CLONE_VM);
	return report_status();
}
