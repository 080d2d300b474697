/*
 * How often an interval timer ticks, to the nanosecond: prints, for each timer,
 * how long the program had run on its clock when it looked, and the ticks.
 * With an argument somebody else wants the processor, too.
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
	do {
		for (volatile int i = 0; i < 40; i++)
			;
		now = clock_now(clock);
	} while (now - start < length_us * 1000);
	say("%d %ld %ld %ld\n", which, (long)(now - start), (long)ticks, interval_us);
	time = itimer_of(0, 0);
	setitimer(which, &time, NULL);
}

int main(int argc, char **argv)
{
	pid_t rival = argc > 1 ? spawn() : -1;

	(void)argv;
	if (!rival)
		for (;;)
			;
	measure(ITIMER_REAL, SIGALRM, CLOCK_MONOTONIC, 1000, 1000, 20500);
	measure(ITIMER_REAL, SIGALRM, CLOCK_MONOTONIC, 300, 100, 10050);
	measure(ITIMER_PROF, SIGPROF, CLOCK_PROCESS_CPUTIME_ID, 1000, 1000, 20500);
	measure(ITIMER_PROF, SIGPROF, CLOCK_PROCESS_CPUTIME_ID, 1000, 50, 10025);
	measure(ITIMER_VIRTUAL, SIGVTALRM, CLOCK_PROCESS_USER_TIME, 1000, 400, 15200);
	if (rival > 0)
		kill(rival, SIGKILL);
	return 0;
}
