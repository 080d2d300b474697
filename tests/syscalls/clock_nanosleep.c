/* Until when does clock_nanosleep(2) sleep, on which clocks, and what does it refuse? */
#include "report.h"

#define MILLISECOND 1000000LL
#define SECOND (1000 * MILLISECOND)

static struct timespec timespec_of(int64_t nanoseconds)
{
	return (struct timespec){ nanoseconds / SECOND, nanoseconds % SECOND };
}

static void show_clock(const char *name, clockid_t clock)
{
	struct timespec request = timespec_of(10 * MILLISECOND);
	int64_t before = clock_now(CLOCK_MONOTONIC);
	int64_t until;

	say("%s\n", name);
	if (CALL(clock_nanosleep, clock, 0, &request, NULL))
		return;
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 10 * MILLISECOND);

	/* A point of time is waited for; one that has passed is not. */
	until = clock_now(clock) + 10 * MILLISECOND;
	request = timespec_of(until);
	CALL(clock_nanosleep, clock, TIMER_ABSTIME, &request, NULL);
	CHECK(clock_now(clock) >= until);
	request = (struct timespec){ 0, 1 };
	CALL(clock_nanosleep, clock, TIMER_ABSTIME, &request, NULL);
}

int main(void)
{
	struct timespec request = { 0, MILLISECOND };
	struct timespec rest = { 77, 88 };
	struct timespec negative = { -1, 0 };
	struct timespec too_many = { 0, SECOND };

	show_clock("realtime", CLOCK_REALTIME);
	show_clock("monotonic", CLOCK_MONOTONIC);
	show_clock("boot time", CLOCK_BOOTTIME);
	show_clock("atomic time", CLOCK_TAI);
	show_clock("thread", CLOCK_THREAD_CPUTIME_ID);
	show_clock("monotonic raw", CLOCK_MONOTONIC_RAW);
	show_clock("realtime coarse", CLOCK_REALTIME_COARSE);
	show_clock("monotonic coarse", CLOCK_MONOTONIC_COARSE);
	show_clock("ten", 10);
	show_clock("ninety-nine", 99);

	CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &request, &rest);
	CHECK(rest.tv_sec == 77 && rest.tv_nsec == 88);
	CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &negative, NULL);
	CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &too_many, NULL);
	CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &negative, NULL);
	CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, NULL, NULL);
	CALL(clock_nanosleep, 99, 0, NULL, NULL);
	return report_status();
}
