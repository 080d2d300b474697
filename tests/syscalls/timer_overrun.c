/* Are the expiries counted that come while a signal waits? */
#include "timer.h"

static int over;

/* Look at a signal, and switch its timer off. */
static void last_tick(int signal, siginfo_t *info, void *context)
{
	struct itimerspec off = timer_of(0, 0);

	(void)signal, (void)context;
	tick_info = *info;
	over = syscall(SYS_timer_getoverrun, info->si_timerid);
	syscall(SYS_timer_settime, info->si_timerid, 0, &off, NULL);
}

int main(void)
{
	struct sigaction action = { 0 };
	int timer = make_timer(CLOCK_MONOTONIC, SIGRTMIN, 5);
	struct itimerspec time;

	note_signal(SIGRTMIN);
	CALL(timer_getoverrun, timer);
	CALL(timer_getoverrun, timer + 1);
	block(SIGRTMIN);
	set_timer(timer, MS, MS);
	sleep_ns(30 * MS);
	CALL(timer_getoverrun, timer); /* not taken yet */
	SHOW(ticks);
	unblock(SIGRTMIN);
	CHECK(ticks >= 1);
	block(SIGRTMIN);
	set_timer(timer, MS, MS);
	CALL(timer_getoverrun, timer); /* a new setting */
	sleep_ns(30 * MS);
	ticks = 0;
	time = timer_of(0, 0);
	unblock(SIGRTMIN);
	block(SIGRTMIN);
	CHECK(ticks == 1);
	CHECK(tick_info.si_overrun >= 28);
	CHECK(tick_info.si_overrun < 20000);
	CHECK(syscall(SYS_timer_getoverrun, timer) == tick_info.si_overrun);
	set_timer(timer, 0, 0);
	unblock(SIGRTMIN); /* it may have ticked before */
	block(SIGRTMIN);

	/* More than an int can hold: since 1970 so many nanoseconds have passed. */
	timer = make_timer(CLOCK_REALTIME, SIGRTMIN, 6);
	time = timer_of(0, SECOND / 1000000);
	time.it_value.tv_sec = 1;
	ticks = 0;
	CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
	while (!is_pending(SIGRTMIN))
		;
	action.sa_sigaction = last_tick;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGRTMIN, &action, NULL);
	unblock(SIGRTMIN);
	SHOW(tick_info.si_value.sival_int);
	SHOW(tick_info.si_overrun);
	SHOW(over);
	return report_status();
}
