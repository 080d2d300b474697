/* Which times and clocks can nobody set, and who cannot set any?  The clock stays as it is. */
#include "timer.h"

static void refused(clockid_t clock, long seconds, long nanoseconds)
{
	struct timespec time = { seconds, nanoseconds };

	say("clock %d, %ld s %ld ns: ", clock, seconds, nanoseconds);
	CALL(clock_settime, clock, &time);
}

int main(void)
{
	static const int none[] = { CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
				    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
				    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
				    CLOCK_TAI, 10, 12, 100 };
	struct timespec now;
	struct timeval time;
	struct timezone zone = { 0, 0 };
	pid_t child;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		refused(none[i], 1000000000, 0);
	refused(~0 << 3 | 2, 1000000000, 0);
	refused(~0 << 3 | 6, 1000000000, 0);
	refused(~0x3ffffff << 3 | 2, 1000000000, 0);
	refused(CLOCK_REALTIME, -1, 0);
	refused(CLOCK_REALTIME, 1000000000, -1);
	refused(CLOCK_REALTIME, 1000000000, 1000000000);
	refused(CLOCK_REALTIME, 0, 0); /* before the machine was switched on */
	refused(CLOCK_REALTIME, INT64_MAX, 0);
	CALL(clock_settime, CLOCK_REALTIME, NULL);
	CALL(clock_settime, CLOCK_MONOTONIC, NULL);
	time = (struct timeval){ -1, 0 };
	CALL(settimeofday, &time, NULL);
	time = (struct timeval){ 1000000000, -1 };
	CALL(settimeofday, &time, NULL);
	time = (struct timeval){ 1000000000, 1000000 };
	CALL(settimeofday, &time, NULL);
	CALL(settimeofday, (void *)8, NULL);
	CALL(settimeofday, NULL, (void *)8);
	zone.tz_minuteswest = 901;
	CALL(settimeofday, NULL, &zone);
	CALL(settimeofday, NULL, NULL);
	child = spawn();
	if (!child) {
		if (setresuid(54321, 54321, 54321))
			die("become another user");
		clock_gettime(CLOCK_REALTIME, &now);
		CALL(clock_settime, CLOCK_REALTIME, &now);
		refused(CLOCK_REALTIME, -1, 0);
		time = (struct timeval){ now.tv_sec, 0 };
		CALL(settimeofday, &time, NULL);
		CALL(settimeofday, NULL, &zone);
		CALL(settimeofday, NULL, NULL);
		time.tv_usec = -1;
		CALL(settimeofday, &time, NULL);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
