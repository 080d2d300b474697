/* Does a timer on the CPU time of the process count what the process uses? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 9);
	struct itimerspec time;
	int64_t start;

	note_signal(SIGUSR1);
	SHOW(timer_left(timer));
	start = cpu_now();
	set_timer(timer, 20 * MS, 0);
	sleep_ns(60 * MS);
	SHOW(ticks);
	CHECK(timer_left(timer) > 0);
	CHECK(timer_left(timer) <= 20 * MS);
	burn_until_ticks(1);
	CHECK(cpu_now() - start >= 20 * MS);
	SHOW(tick_info.si_code == SI_TIMER);
	SHOW(tick_info.si_value.sival_int);
	SHOW(timer_left(timer));
	burn(20 * MS);
	SHOW(ticks);

	/* Again and again. */
	ticks = 0;
	start = cpu_now();
	set_timer(timer, 10 * MS, 10 * MS);
	burn_until_ticks(4);
	CHECK(cpu_now() - start >= 40 * MS);
	CHECK(timer_left(timer) > 0);
	CHECK(timer_left(timer) <= 10 * MS);

	/* Absolute, in the past: at once, even if no time passes on that clock. */
	time = timer_of(1, 0);
	ticks = 0;
	CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
	SHOW(ticks);
	time = timer_of(cpu_now() + 10 * MS, 0);
	CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
	burn_until_ticks(2);
	CHECK(cpu_now() >= ns_of(time.it_value));

	/* Overruns, while the signal waits. */
	block(SIGUSR1);
	set_timer(timer, 10 * MS, MS);
	start = cpu_now();
	while (!is_pending(SIGUSR1) && cpu_now() - start < 5 * SECOND)
		burn(MS);
	CHECK(cpu_now() - start >= 10 * MS);
	SHOW(is_pending(SIGUSR1));
	ticks = 0;
	unblock(SIGUSR1);
	CHECK(ticks >= 1);
	CHECK(tick_info.si_overrun + syscall(SYS_timer_getoverrun, timer) >= 0);
	return report_status();
}
