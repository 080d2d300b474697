/* Which clocks does clock_gettime(2) know, and do they go forward? */
#include "report.h"

static void show_clock(const char *name, clockid_t clock)
{
	struct timespec first, second;

	say("%s\n", name);
	if (CALL(clock_gettime, clock, &first))
		return;
	CALL(clock_gettime, clock, &second);
	CHECK(first.tv_nsec >= 0 && first.tv_nsec < 1000000000);
	CHECK(second.tv_sec > first.tv_sec ||
	      (second.tv_sec == first.tv_sec && second.tv_nsec >= first.tv_nsec));
}

int main(void)
{
	struct timespec now;

	show_clock("realtime", CLOCK_REALTIME);
	show_clock("monotonic", CLOCK_MONOTONIC);
	show_clock("process", CLOCK_PROCESS_CPUTIME_ID);
	show_clock("thread", CLOCK_THREAD_CPUTIME_ID);
	show_clock("monotonic raw", CLOCK_MONOTONIC_RAW);
	show_clock("realtime coarse", CLOCK_REALTIME_COARSE);
	show_clock("monotonic coarse", CLOCK_MONOTONIC_COARSE);
	show_clock("boot time", CLOCK_BOOTTIME);
	show_clock("atomic time", CLOCK_TAI);
	/* The number of a clock that is gone. */
	show_clock("ten", 10);
	show_clock("ninety-nine", 99);
	show_clock("minus one", -1);

	/* The epoch is that of 1970, and the machine was not up since then. */
	CHECK(clock_now(CLOCK_REALTIME) > 1000000000LL * 1000000000LL);
	CHECK(clock_now(CLOCK_MONOTONIC) < clock_now(CLOCK_REALTIME));
	CHECK(clock_now(CLOCK_BOOTTIME) >= clock_now(CLOCK_MONOTONIC_COARSE));
	CHECK(clock_now(CLOCK_PROCESS_CPUTIME_ID) >= 0);

	CALL(clock_gettime, CLOCK_MONOTONIC, NULL);
	CALL(clock_gettime, 99, NULL);
	CALL(clock_gettime, CLOCK_MONOTONIC, &now);
	return report_status();
}
