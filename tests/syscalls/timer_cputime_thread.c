/* Does a timer on a thread's CPU time count that thread alone, and end with it? */
#include "timer.h"
#include <pthread.h>

static volatile int tid, run, stop;

static int worker(void *unused)
{
	(void)unused;
	while (!run)
		sleep_ns(MS);
	while (!stop)
		;
	return 0;
}

int main(void)
{
	clockid_t clock;
	pid_t thread;
	int own, other;

	count_signal(SIGUSR1);
	count_signal(SIGUSR2);
	thread = start_thread(worker, NULL, &tid);
	clock = ~thread << 3 | 6;
	own = make_timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR1, 0);
	other = make_timer(clock, SIGUSR2, 0);
	set_timer(other, 20 * MS, 0);
	CHECK(timer_left(other) > 10 * MS);
	burn(50 * MS);
	SHOW(ticks); /* the other thread sleeps */
	set_timer(own, 20 * MS, 0);
	run = 1;
	await_ticks(1);
	CHECK(timer_left(own) > 0); /* this thread sleeps */
	SHOW(timer_left(other));
	burn_until_ticks(2);
	SHOW(timer_left(own));
	set_timer(other, 1000 * SECOND, 0);
	stop = 1;
	wait_for(&tid, 0);
	sleep_ns(2 * MS);
	SHOW(ticks);
	struct itimerspec time = timer_of(SECOND, 0);
	CALL(timer_settime, other, 0, &time, NULL);
	SHOW(timer_left(other));
	CALL(timer_create, clock, NULL, &own);
	CALL(timer_delete, other);
	return report_status();
}
