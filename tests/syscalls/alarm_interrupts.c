/* Does an alarm end a sleep early, with the rest of its time, and its siginfo say what it is? */
#include "timer.h"

int main(void)
{
	struct itimerval soon = itimer_of(2000, 0);
	struct timespec sleep = { 100, 0 }, left = { 0, 0 };

	note_signal(SIGALRM);
	setitimer(ITIMER_REAL, &soon, NULL);
	CALL(nanosleep, &sleep, &left);
	SHOW(ticks);
	CHECK(left.tv_sec >= 90);
	CHECK(left.tv_sec < 100);
	SHOW(tick_info.si_signo);
	SHOW(tick_info.si_code == SI_KERNEL);
	SHOW(tick_info.si_pid);
	SHOW(tick_info.si_uid);

	/* Absolute: nothing is left to be told. */
	setitimer(ITIMER_REAL, &soon, NULL);
	clock_gettime(CLOCK_MONOTONIC, &sleep);
	sleep.tv_sec += 100;
	left.tv_sec = 77;
	CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &sleep, &left);
	SHOW(left.tv_sec);
	SHOW(ticks);
	return report_status();
}
