/* Can a process have a hundred threads that count together? */
#include "process.h"

#define COUNT 100

static volatile int tid[COUNT], total, started, go;

static int thread_main(void *number)
{
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	wait_for(&go, 1);
	for (int i = 0; i < 20; i++) {
		__atomic_add_fetch(&total, (long)number, __ATOMIC_SEQ_CST);
		sched_yield();
	}
	return 0;
}

int main(void)
{
	for (long i = 0; i < COUNT; i++)
		start_thread(thread_main, (void *)i, &tid[i]);
	wait_for(&started, COUNT);
	SHOW(total);
	go = 1;
	for (int i = 0; i < COUNT; i++)
		wait_for(&tid[i], 0);
	SHOW(total);
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
