/* For whom is a signal pending that was sent to one thread, or to the process? */
#include "process.h"

static volatile int tid, step, seen[2];

static int thread_main(void *unused)
{
	(void)unused;
	step = 1;
	wait_for(&step, 2);
	seen[0] = is_pending(SIGUSR1);
	seen[1] = is_pending(SIGUSR2);
	step = 3;
	return 0;
}

int main(void)
{
	pid_t thread;

	block(SIGUSR1);
	block(SIGUSR2);
	thread = start_thread(thread_main, NULL, &tid);
	wait_for(&step, 1);
	CALL(tgkill, getpid(), thread, SIGUSR1);
	CALL(kill, getpid(), SIGUSR2);
	step = 2;
	wait_for(&step, 3);
	say("thread: SIGUSR1 %d, SIGUSR2 %d\n", seen[0], seen[1]);
	say("leader: SIGUSR1 %d, SIGUSR2 %d\n", is_pending(SIGUSR1), is_pending(SIGUSR2));
	wait_for(&tid, 0);
	/* The thread's went with it, the process's stays. */
	say("leader: SIGUSR1 %d, SIGUSR2 %d\n", is_pending(SIGUSR1), is_pending(SIGUSR2));
	/* Thrown away when it becomes one that is ignored. */
	set_action(SIGUSR2, SIG_IGN, 0);
	say("leader: SIGUSR1 %d, SIGUSR2 %d\n", is_pending(SIGUSR1), is_pending(SIGUSR2));
	return report_status();
}
