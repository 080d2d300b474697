/* Does a timer without a signal keep the time all the same? */
#include "timer.h"

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int timer;

	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
	SHOW(timer_left(timer));
	set_timer(timer, 100 * SECOND, 0);
	CHECK(timer_left(timer) > 90 * SECOND);
	set_timer(timer, MS, 0);
	CHECK(timer_left(timer) <= MS);
	sleep_ns(2 * MS);
	SHOW(timer_left(timer)); /* expired */
	set_timer(timer, MS, 50 * SECOND);
	sleep_ns(2 * MS);
	CHECK(timer_left(timer) > 40 * SECOND);
	CHECK(timer_left(timer) < 50 * SECOND);

	CALL(timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer);
	set_timer(timer, 100 * SECOND, 0);
	CHECK(timer_left(timer) > 90 * SECOND);
	set_timer(timer, MS, 0);
	burn(15 * MS);
	SHOW(timer_left(timer));
	set_timer(timer, MS, 50 * SECOND);
	burn(15 * MS);
	CHECK(timer_left(timer) > 40 * SECOND);
	CALL(timer_getoverrun, timer);
	return report_status();
}
