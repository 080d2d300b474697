/* Does a timer whose signal is ignored go on, so that a handler later gets it? */
#include "timer.h"

int main(void)
{
	int timer = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);

	set_action(SIGUSR1, SIG_IGN, 0);
	set_timer(timer, MS, 2 * MS);
	sleep_ns(10 * MS);
	SHOW(ticks);
	CHECK(timer_left(timer) > 0);
	count_signal(SIGUSR1);
	await_ticks(3);
	CHECK(ticks >= 3);

	/* Ignored while it waits: it is dropped, and the timer goes on. */
	block(SIGUSR1);
	sleep_ns(10 * MS);
	SHOW(is_pending(SIGUSR1));
	set_action(SIGUSR1, SIG_IGN, 0);
	SHOW(is_pending(SIGUSR1));
	unblock(SIGUSR1);
	sleep_ns(5 * MS);
	ticks = 0;
	count_signal(SIGUSR1);
	await_ticks(2);
	CHECK(ticks >= 2);

	/* Once, and ignored: it is over. */
	set_action(SIGUSR1, SIG_IGN, 0);
	set_timer(timer, MS, 0);
	sleep_ns(5 * MS);
	SHOW(timer_left(timer));
	ticks = 0;
	count_signal(SIGUSR1);
	sleep_ns(5 * MS);
	SHOW(ticks);
	return report_status();
}
