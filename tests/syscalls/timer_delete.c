/* Does a deleted timer not expire any more, and is its number not given again at once? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0), other;
	struct itimerspec time;

	count_signal(SIGUSR1);
	SHOW(timer);
	set_timer(timer, 2 * MS, 2 * MS);
	CALL(timer_delete, timer);
	CALL(timer_delete, timer);
	CALL(timer_delete, -1);
	CALL(timer_gettime, timer, &time);
	CALL(timer_getoverrun, timer);
	sleep_ns(10 * MS);
	SHOW(ticks);
	other = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);
	SHOW(other);
	CALL(timer_delete, other);
	for (int i = 0; i < 5; i++)
		other = make_timer(CLOCK_REALTIME, SIGUSR1, 0);
	SHOW(other);
	CALL(timer_delete, other - 2);
	SHOW(make_timer(CLOCK_REALTIME, SIGUSR1, 0));
	return report_status();
}
