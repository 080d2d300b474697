/* Can a timer wait for the CPU time of a child? */
#include "timer.h"

int main(void)
{
	volatile int *go = share_pages(1);
	struct itimerspec time = timer_of(10 * MS, 0);
	clockid_t clock;
	pid_t child;
	int timer;

	count_signal(SIGUSR1);
	child = spawn();
	if (!child) {
		set_action(SIGUSR1, SIG_DFL, 0);
		wait_for(go, 1);
		for (;;)
			;
	}
	SHOW(clock_getcpuclockid(child, &clock));
	timer = make_timer(clock, SIGUSR1, 0);
	set_timer(timer, 20 * MS, 0);
	burn(30 * MS);
	SHOW(ticks);
	*go = 1;
	await_ticks(1);
	CHECK(clock_now(clock) >= 20 * MS);
	set_timer(timer, 1000 * SECOND, 0);
	kill(child, SIGKILL);
	reap("child", child);
	CALL(timer_settime, timer, 0, &time, NULL);
	SHOW(timer_left(timer));
	SHOW(clock_getcpuclockid(child, &clock));
	SHOW(ticks);
	return report_status();
}
