/* Does exit(2) end only the thread that calls it, and its status matter to nobody? */
#include "process.h"

static volatile int tid[2], step;

static int first(void *unused)
{
	(void)unused;
	syscall(SYS_exit, 77);
	return 0;
}

static int second(void *unused)
{
	(void)unused;
	wait_for(&tid[0], 0);
	step = 1;
	return 78;
}

int main(void)
{
	pid_t child = spawn();

	if (!child) {
		start_thread(first, NULL, &tid[0]);
		start_thread(second, NULL, &tid[1]);
		wait_for(&tid[1], 0);
		SHOW(step);
		exit(5);
	}
	reap("child", child);
	return report_status();
}
