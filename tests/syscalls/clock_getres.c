/* How fine are the clocks, as clock_getres(2) has it? */
#include "report.h"

static void show_resolution(const char *name, clockid_t clock)
{
	struct timespec resolution;

	say("%s\n", name);
	if (CALL(clock_getres, clock, &resolution))
		return;
	CHECK(resolution.tv_sec == 0);
	CHECK(resolution.tv_nsec >= 1 && resolution.tv_nsec <= 10000000);
}

int main(void)
{
	struct timespec fine, coarse;

	show_resolution("realtime", CLOCK_REALTIME);
	show_resolution("monotonic", CLOCK_MONOTONIC);
	show_resolution("process", CLOCK_PROCESS_CPUTIME_ID);
	show_resolution("thread", CLOCK_THREAD_CPUTIME_ID);
	show_resolution("monotonic raw", CLOCK_MONOTONIC_RAW);
	show_resolution("realtime coarse", CLOCK_REALTIME_COARSE);
	show_resolution("monotonic coarse", CLOCK_MONOTONIC_COARSE);
	show_resolution("boot time", CLOCK_BOOTTIME);
	show_resolution("atomic time", CLOCK_TAI);
	show_resolution("ten", 10);
	show_resolution("ninety-nine", 99);
	show_resolution("minus one", -1);

	CALL(clock_getres, CLOCK_MONOTONIC, &fine);
	CALL(clock_getres, CLOCK_MONOTONIC_COARSE, &coarse);
	CHECK(fine.tv_nsec <= coarse.tv_nsec);
	CALL(clock_getres, CLOCK_MONOTONIC, NULL);
	CALL(clock_getres, 99, NULL);
	CALL(clock_getres, CLOCK_MONOTONIC, (void *)8);
	return report_status();
}
