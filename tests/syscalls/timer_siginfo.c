/* What does the signal of a timer say: code, number, value; with an event and without? */
#include "timer.h"

static void show_info(const char *what, int timer)
{
	ticks = 0;
	memset(&tick_info, 0xff, sizeof(tick_info));
	set_timer(timer, MS, 0);
	await_ticks(1);
	say("%s\n", what);
	SHOW(tick_info.si_signo);
	SHOW(tick_info.si_code == SI_TIMER);
	SHOW(tick_info.si_errno);
	SHOW(tick_info.si_timerid);
	SHOW(tick_info.si_overrun);
	SHOW(tick_info.si_value.sival_int);
	SHOW((long)tick_info.si_value.sival_ptr);
	SHOW(((long *)&tick_info)[4]); /* nothing of the kernel's own is behind it */
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	int timer;

	note_signal(SIGALRM);
	note_signal(SIGUSR2);
	note_signal(SIGRTMAX);
	make_timer(CLOCK_MONOTONIC, SIGRTMAX, 0);
	CALL(timer_create, CLOCK_REALTIME, NULL, &timer);
	show_info("no event", timer);
	event.sigev_value.sival_ptr = (void *)0x123456789abcdef0;
	CALL(timer_create, CLOCK_BOOTTIME, &event, &timer);
	show_info("a pointer", timer);
	event.sigev_notify = SIGEV_THREAD;
	event.sigev_signo = SIGRTMAX;
	event.sigev_value.sival_ptr = NULL;
	CALL(timer_create, CLOCK_TAI, &event, &timer);
	show_info("a thread, for the library", timer);
	return report_status();
}
