/*
 * How often an interval timer ticks, to the nanosecond: prints, for each timer,
 * how long the program had run on its clock when it looked, and the ticks.
 */
#include "../syscalls/timer.h"

static void measure(int which, int signal, clockid_t clock, long value_us,
		    long interval_us, long length_us)
{
	struct itimerval time = itimer_of(value_us, interval_us);
	int64_t start, now;

	ticks = 0;
	count_signal(signal);
	start = clock_now(clock);
	if (setitimer(which, &time, NULL))
		die("set a timer");
	do
		now = clock_now(clock);
	while (now - start < length_us * 1000);
	say("%d %ld %ld %ld\n", which, (long)(now - start), (long)ticks, interval_us);
	time = itimer_of(0, 0);
	setitimer(which, &time, NULL);
}

int main(void)
{
	measure(ITIMER_REAL, SIGALRM, CLOCK_MONOTONIC, 1000, 1000, 50500);
	measure(ITIMER_REAL, SIGALRM, CLOCK_MONOTONIC, 300, 100, 20050);
	measure(ITIMER_PROF, SIGPROF, CLOCK_PROCESS_CPUTIME_ID, 1000, 1000, 50500);
	measure(ITIMER_PROF, SIGPROF, CLOCK_PROCESS_CPUTIME_ID, 1000, 50, 20025);
	measure(ITIMER_VIRTUAL, SIGVTALRM, CLOCK_PROCESS_CPUTIME_ID, 1000, 333, 30150);
	return 0;
}
