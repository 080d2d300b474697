/* Does CLONE_VFORK make a thread wait for the thread that it starts, and no other? */
#include "process.h"

static volatile int order, others, tid, step;

static int counts(void *unused)
{
	(void)unused;
	step = 1;
	while (!order)
		pause_ms(1);
	others = 1;
	return 0;
}

static int slow(void *unused)
{
	(void)unused;
	pause_ms(10);
	order = 1;
	/* The one that waits is the leader; this one goes on. */
	wait_for(&others, 1);
	order = 2;
	return 0;
}

int main(void)
{
	start_thread(counts, NULL, &tid);
	wait_for(&step, 1);
	start(slow, THREAD | CLONE_VFORK, NULL);
	SHOW(order);
	SHOW(others);
	wait_for(&tid, 0);
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
