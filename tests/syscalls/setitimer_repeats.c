/* Does a timer with an interval tick again and again, and never too early? */
#include "timer.h"

int main(void)
{
	struct itimerval time = itimer_of(4000, 2000);
	int64_t start, now;

	count_signal(SIGALRM);
	start = clock_now(CLOCK_MONOTONIC);
	CALL(setitimer, ITIMER_REAL, &time, NULL);
	for (int i = 1; i <= 10; i++) {
		await_ticks(i);
		now = clock_now(CLOCK_MONOTONIC);
		if (now - start < 4 * MS + (i - 1) * 2 * MS)
			say("tick %d is early\n", i);
	}
	CHECK(ticks >= 10);
	time = itimer_of(0, 0);
	CALL(setitimer, ITIMER_REAL, &time, NULL);
	ticks = 0;
	sleep_ns(10 * MS);
	SHOW(ticks);

	/* Once, without an interval. */
	time = itimer_of(1000, 0);
	CALL(setitimer, ITIMER_REAL, &time, NULL);
	sleep_ns(20 * MS);
	SHOW(ticks);
	return report_status();
}
