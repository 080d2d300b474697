/* Whose number is no child's: one's own, the parent's, a thread's, one's own or a child's? */
#include "process.h"

static volatile int tid, done;

static int rest(void *unused)
{
	(void)unused;
	wait_for(&done, 1);
	return 0;
}

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child = spawn(), thread;

	if (!child) {
		step[1] = start_thread(rest, NULL, &tid);
		step[0] = 1;
		wait_for(step, 2);
		done = 1;
		wait_for(&tid, 0);
		_exit(4);
	}
	wait_for(step, 1);
	thread = start_thread(rest, NULL, &tid);
	CALL(wait4, getpid(), NULL, __WALL, NULL);
	CALL(wait4, getppid(), NULL, __WALL, NULL);
	CALL(wait4, thread, NULL, __WALL, NULL);
	CALL(wait4, step[1], NULL, __WALL, NULL);
	CALL(waitid, P_PID, step[1], NULL, WEXITED | __WALL, NULL);
	done = 1;
	wait_for(&tid, 0);
	step[0] = 2;
	reap("child", child);
	return report_status();
}
