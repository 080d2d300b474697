/* Is memory that two processes share still there when one of them is killed? */
#include "process.h"

static volatile int step;
static char *volatile map;

static int child_main(void *unused)
{
	(void)unused;
	map = map_pages(3);
	map[PAGE] = 'm';
	step = 1;
	for (;;)
		pause_ms(10000);
	return 0;
}

static int child_faults(void *unused)
{
	(void)unused;
	*(volatile int *)8 = 1;
	return 0;
}

int main(void)
{
	pid_t child = start(child_main, CLONE_VM | SIGCHLD, NULL);

	wait_for(&step, 1);
	kill(child, SIGKILL);
	reap("child", child);
	SHOW(map[PAGE]);
	show_access("map", map, 3);
	/* A fault is one's own. */
	without_core();
	child = start(child_faults, CLONE_VM | SIGCHLD, NULL);
	reap("child", child);
	SHOW(map[PAGE]);
	return report_status();
}
