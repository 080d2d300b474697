/* Does a timer on user time wait for user time, and not for time in the kernel? */
#include "timer.h"

int main(void)
{
	int64_t start = clock_now(CLOCK_PROCESS_USER_TIME), prof = clock_now(CLOCK_PROCESS_PROF);
	int timer;

	count_signal(SIGUSR1);
	timer = make_timer(CLOCK_PROCESS_USER_TIME, SIGUSR1, 1);
	set_timer(timer, 400 * MS, 0);
	UNTIL(clock_now(CLOCK_PROCESS_PROF) - prof >=
	      clock_now(CLOCK_PROCESS_USER_TIME) - start + 20 * MS, use_kernel());
	SHOW(ticks);
	CHECK(timer_left(timer) > 0);
	CHECK(timer_left(timer) >= 400 * MS - (clock_now(CLOCK_PROCESS_USER_TIME) - start));
	set_timer(timer, 20 * MS, 0);
	start = clock_now(CLOCK_PROCESS_USER_TIME);
	while (!ticks)
		;
	CHECK(clock_now(CLOCK_PROCESS_USER_TIME) - start >= 20 * MS);
	SHOW(timer_left(timer));

	/* And again and again. */
	start = clock_now(CLOCK_PROCESS_USER_TIME);
	set_timer(timer, 10 * MS, 10 * MS);
	for (ticks = 0; ticks < 3;)
		;
	CHECK(clock_now(CLOCK_PROCESS_USER_TIME) - start >= 30 * MS);
	return report_status();
}
