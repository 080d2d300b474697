/* What does timer_settime(2) take, and what does it say that there was? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);
	struct itimerspec time = timer_of(100 * SECOND, 3 * SECOND), old;

	note_signal(SIGUSR1);
	memset(&old, 0xff, sizeof(old));
	CALL(timer_settime, timer, 0, &time, &old);
	SHOW(ns_of(old.it_value));
	SHOW(ns_of(old.it_interval));
	time = timer_of(50 * SECOND, 7);
	CALL(timer_settime, timer, 0, &time, &old);
	CHECK(ns_of(old.it_value) <= 100 * SECOND);
	CHECK(ns_of(old.it_value) > 90 * SECOND);
	SHOW(ns_of(old.it_interval));
	time = timer_of(0, 5 * SECOND); /* off, and so is the interval */
	CALL(timer_settime, timer, 0, &time, &old);
	SHOW(ns_of(old.it_interval));
	CALL(timer_settime, timer, 0, &time, &old);
	SHOW(ns_of(old.it_value));
	SHOW(ns_of(old.it_interval));

	CALL(timer_settime, timer + 1, 0, &time, &old);
	CALL(timer_settime, -1, 0, &time, &old);
	CALL(timer_settime, timer, 0, NULL, &old);
	CALL(timer_settime, timer, 0, (void *)8, &old);
	CALL(timer_settime, 99, 0, (void *)8, &old);
	time = timer_of(0, 0);
	CALL(timer_settime, timer, 0, &time, (void *)8);
	time = (struct itimerspec){ { 0, 0 }, { 0, SECOND } };
	CALL(timer_settime, timer, 0, &time, NULL);
	time = (struct itimerspec){ { 0, SECOND }, { 0, 0 } };
	CALL(timer_settime, timer, 0, &time, NULL);
	time = (struct itimerspec){ { 0, 0 }, { 0, -1 } };
	CALL(timer_settime, timer, 0, &time, NULL);
	time = (struct itimerspec){ { 0, 0 }, { -1, 0 } };
	CALL(timer_settime, timer, 0, &time, NULL);
	CALL(timer_settime, 99, 0, &time, NULL);
	time = timer_of(100 * SECOND, 0);
	CALL(timer_settime, timer, 0xf0, &time, NULL); /* unknown flags */
	CHECK(timer_left(timer) > 90 * SECOND);
	time = (struct itimerspec){ { INT64_MAX, 0 }, { INT64_MAX, 999999999 } };
	CALL(timer_settime, timer, 0, &time, NULL);
	CHECK(timer_left(timer) > 1000000000 * SECOND);
	CALL(timer_gettime, timer, &old);
	CHECK(old.it_interval.tv_sec > 9000000000L);
	SHOW(ticks);
	return report_status();
}
