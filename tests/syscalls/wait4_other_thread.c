/* May a thread wait for the child of another thread, and what does __WNOTHREAD say? */
#include "process.h"

static volatile int tid, step, child;

static int make_child(void *unused)
{
	(void)unused;
	child = syscall(SYS_fork);
	if (!child)
		syscall(SYS_exit_group, 6);
	step = 1;
	wait_for(&step, 2);
	return 0;
}

int main(void)
{
	int status;

	start_thread(make_child, NULL, &tid);
	wait_for(&step, 1);
	CALL(wait4, child, &status, __WNOTHREAD, NULL);
	CALL(wait4, -1, &status, __WNOTHREAD | WNOHANG, NULL);
	reap("child", child);
	step = 2;
	wait_for(&tid, 0);

	/* When the thread has ended the child is another's. */
	step = 0;
	start_thread(make_child, NULL, &tid);
	wait_for(&step, 1);
	step = 2;
	wait_for(&tid, 0);
	while (syscall(SYS_wait4, child, &status, __WNOTHREAD, NULL) != child)
		pause_ms(1);
	show_wait_status("child", status);
	return report_status();
}
