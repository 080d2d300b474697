/* Does a sleep until a point of time end then and not before, on each clock? */
#include "timer.h"

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI };

int main(void)
{
	struct timespec time, left;
	struct itimerval soon = itimer_of(3000, 0);

	count_signal(SIGALRM);
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		say("clock %d\n", clocks[i]);
		time = timespec_of(clock_now(clocks[i]) + 3 * MS);
		CALL(clock_nanosleep, clocks[i], TIMER_ABSTIME, &time, NULL);
		CHECK(clock_now(clocks[i]) >= ns_of(time));
		CALL(clock_nanosleep, clocks[i], TIMER_ABSTIME, &time, NULL);
		time = timespec_of(0);
		CALL(clock_nanosleep, clocks[i], TIMER_ABSTIME, &time, NULL);
		time = timespec_of(clock_now(clocks[i]) + 100 * SECOND);
		left = timespec_of(5);
		setitimer(ITIMER_REAL, &soon, NULL);
		CALL(clock_nanosleep, clocks[i], TIMER_ABSTIME, &time, &left);
		SHOW(ns_of(left));
		time = timespec_of(100 * SECOND);
		setitimer(ITIMER_REAL, &soon, NULL);
		CALL(clock_nanosleep, clocks[i], 0, &time, &left);
		CHECK(ns_of(left) > 90 * SECOND);
		CHECK(ns_of(left) < 100 * SECOND);
	}
	return report_status();
}
