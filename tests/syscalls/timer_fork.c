/* Has a child none of its parent's timers, and do the parent's go on? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0), again;
	struct itimerspec time;
	int status;
	pid_t child;

	again = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 0);
	set_timer(again, 100 * SECOND, 0);
	count_signal(SIGUSR1);
	set_timer(timer, 3 * MS, 0);
	child = spawn();
	if (!child) {
		CALL(timer_gettime, timer, &time);
		CALL(timer_delete, again);
		sleep_ns(10 * MS);
		SHOW(ticks);
		SHOW(make_timer(CLOCK_MONOTONIC, SIGUSR1, 0));
		_exit(0);
	}
	await_ticks(1);
	while (waitpid(child, &status, 0) != child)
		;
	show_wait_status("child", status);
	SHOW(ticks);
	CHECK(timer_left(again) > 90 * SECOND);
	/* One that ends with timers that are armed, and with one whose signal waits. */
	child = spawn();
	if (!child) {
		block(SIGUSR1);
		set_timer(make_timer(CLOCK_MONOTONIC, SIGUSR1, 0), MS, MS);
		set_timer(make_timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR1, 0), SECOND, MS);
		set_timer(make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 0), SECOND, MS);
		set_timer(make_timer(CLOCK_REALTIME, SIGUSR1, 0), SECOND, MS);
		sleep_ns(3 * MS);
		SHOW(is_pending(SIGUSR1));
		_exit(4);
	}
	reap("child with timers", child);
	return report_status();
}
