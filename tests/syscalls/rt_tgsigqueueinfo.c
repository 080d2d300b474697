/* Does a signal with a value reach the thread that it is sent to, and no other? */
#include "signals.h"

static volatile int tid, step;
static volatile kernel_set seen;
static kernel_set rt = BIT(44);

static int thread_main(void *unused)
{
	siginfo_t info;

	(void)unused;
	step = 1;
	wait_for(&step, 2);
	seen = get_pending();
	CALL(rt_sigtimedwait, &rt, &info, NULL, SIGSET_SIZE);
	say("value %d\n", info.si_value.sival_int);
	/* As if by kill(2) or tkill(2): only from a thread to itself. */
	info.si_code = SI_TKILL;
	CALL(rt_tgsigqueueinfo, getpid(), getpid(), 0, &info);
	CALL(rt_tgsigqueueinfo, getpid(), tid, 0, &info);
	CALL(rt_sigqueueinfo, getpid(), 0, &info);
	CALL(rt_sigqueueinfo, tid, 0, &info);
	step = 3;
	return 0;
}

int main(void)
{
	siginfo_t info = { .si_code = SI_QUEUE };
	struct timespec now = { 0, 0 };
	pid_t self = getpid(), thread;

	set_mask(rt);
	info.si_value.sival_int = 17;
	thread = start_thread(thread_main, NULL, &tid);
	wait_for(&step, 1);
	CALL(rt_tgsigqueueinfo, self, thread, 44, &info);
	CALL(rt_sigtimedwait, &rt, NULL, &now, SIGSET_SIZE);
	step = 2;
	wait_for(&step, 3);
	CHECK(seen == rt);
	wait_for(&tid, 0);

	CALL(rt_tgsigqueueinfo, self, self, 0, &info);
	CALL(rt_tgsigqueueinfo, self, self, 65, &info);
	CALL(rt_tgsigqueueinfo, self, thread, 44, &info);
	CALL(rt_tgsigqueueinfo, self, getppid(), 44, &info);
	CALL(rt_tgsigqueueinfo, 0, self, 44, &info);
	CALL(rt_tgsigqueueinfo, self, 0, 44, &info);
	CALL(rt_tgsigqueueinfo, -1, self, 44, &info);
	CALL(rt_tgsigqueueinfo, self, self, 44, NULL);
	CALL(rt_tgsigqueueinfo, 0, self, 44, NULL);
	info.si_code = SI_TKILL;
	CALL(rt_tgsigqueueinfo, self, self, 44, &info);
	CALL(rt_tgsigqueueinfo, getppid(), getppid(), 0, &info);
	info.si_code = 0;
	CALL(rt_tgsigqueueinfo, getppid(), getppid(), 0, &info);
	return report_status();
}
