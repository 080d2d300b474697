/* What does timer_gettime(2) show: of a timer that is new, runs, has expired, or waits? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);
	struct itimerspec left;

	note_signal(SIGUSR1);
	memset(&left, 0xff, sizeof(left));
	CALL(timer_gettime, timer, &left);
	SHOW(ns_of(left.it_value));
	SHOW(ns_of(left.it_interval));
	CALL(timer_gettime, timer + 1, &left);
	CALL(timer_gettime, timer + 1, NULL);
	CALL(timer_gettime, timer, NULL);

	set_timer(timer, 100 * SECOND, 10);
	sleep_ns(2 * MS);
	CALL(timer_gettime, timer, &left);
	CHECK(ns_of(left.it_value) <= 100 * SECOND - 2 * MS);
	SHOW(ns_of(left.it_interval));

	set_timer(timer, MS, 0);
	await_ticks(1);
	CALL(timer_gettime, timer, &left); /* it has expired */
	SHOW(ns_of(left.it_value));
	SHOW(ns_of(left.it_interval));

	/* While the signal waits it shows the expiry that would be next. */
	block(SIGUSR1);
	set_timer(timer, MS, 40 * SECOND);
	sleep_ns(3 * MS);
	SHOW(is_pending(SIGUSR1));
	CALL(timer_gettime, timer, &left);
	CHECK(ns_of(left.it_value) > 30 * SECOND);
	CHECK(ns_of(left.it_value) <= 40 * SECOND);
	unblock(SIGUSR1);
	SHOW(ticks);
	CHECK(timer_left(timer) > 30 * SECOND);
	return report_status();
}
