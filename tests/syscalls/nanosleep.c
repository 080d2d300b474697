/* Does nanosleep(2) sleep at least as long as it is told, and what does it refuse? */
#include "report.h"

#define MILLISECOND 1000000LL

static void show_sleep(long seconds, long nanoseconds)
{
	struct timespec request = { seconds, nanoseconds };
	struct timespec rest = { 77, 88 };
	int64_t before = clock_now(CLOCK_MONOTONIC);

	say("%ld s %ld ns\n", seconds, nanoseconds);
	if (CALL(nanosleep, &request, &rest))
		return;
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= seconds * 1000 * MILLISECOND + nanoseconds);
	/* Only an interrupted sleep has a rest. */
	CHECK(rest.tv_sec == 77 && rest.tv_nsec == 88);
}

int main(void)
{
	struct timespec request = { 0, MILLISECOND };

	show_sleep(0, 0);
	show_sleep(0, 1);
	show_sleep(0, 20 * MILLISECOND);
	show_sleep(0, 999999999);
	show_sleep(0, 1000000000);
	show_sleep(0, -1);
	show_sleep(-1, 0);
	CALL(nanosleep, &request, NULL);
	CALL(nanosleep, NULL, NULL);
	return report_status();
}
