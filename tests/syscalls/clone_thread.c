/* What is the same for two threads of a process, and what is each one's own? */
#include "process.h"

static volatile int tid, step, word;
static volatile pid_t seen[4];

static int thread_main(void *unused)
{
	(void)unused;
	seen[0] = getpid();
	seen[1] = syscall(SYS_gettid);
	seen[2] = getppid();
	word = 5;
	block(SIGUSR1);
	step = 1;
	wait_for(&step, 2);
	return 3;
}

int main(void)
{
	pid_t self = getpid(), thread = start_thread(thread_main, NULL, &tid);

	wait_for(&step, 1);
	CHECK(seen[0] == self);
	CHECK(seen[1] == thread);
	CHECK(tid == thread);
	CHECK(thread != self);
	CHECK(seen[2] == getppid());
	SHOW(word);
	SHOW(is_blocked(SIGUSR1));
	/* It is no child. */
	CALL(wait4, thread, NULL, __WALL, NULL);
	CALL(wait4, -1, NULL, __WALL, NULL);
	CALL(waitid, P_PID, thread, NULL, WEXITED | __WALL, NULL);
	/* But it is there; tgkill(2) knows whose it is. */
	CALL(tkill, thread, 0);
	CALL(tgkill, self, thread, 0);
	CALL(tgkill, thread, thread, 0);
	CALL(tgkill, getppid(), thread, 0);
	CALL(kill, thread, 0);
	CHECK(getpgid(thread) == getpgrp());
	CALL(setpgid, thread, 0);
	step = 2;
	wait_for(&tid, 0);
	CALL(wait4, -1, NULL, __WALL, NULL);
	for (int i = 0; i < 10000 && !syscall(SYS_tkill, thread, 0); i++)
		pause_ms(1);
	CALL(tkill, thread, 0);
	return report_status();
}
