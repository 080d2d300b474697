/* Do interval timers belong to the process: does a thread's CPU time count, and its setting? */
#include "timer.h"

static volatile int stop, tid, started;

static int worker(void *unused)
{
	struct itimerval left;

	(void)unused;
	syscall(SYS_getitimer, ITIMER_PROF, &left);
	started = 1 + (us_of(left.it_value) > 0);
	while (!stop)
		;
	return 0;
}

int main(void)
{
	struct itimerval time = itimer_of(20000, 0);

	count_signal(SIGPROF);
	setitimer(ITIMER_PROF, &time, NULL);
	start_thread(worker, NULL, &tid);
	await_ticks(1); /* this thread sleeps */
	SHOW(started);
	SHOW(ticks);
	stop = 1;
	wait_for(&tid, 0);
	CALL(getitimer, ITIMER_PROF, &time);
	SHOW(us_of(time.it_value));
	return report_status();
}
