/* Do clocks go forward, and stand to each other as they should? */
#include "timer.h"

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
				    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
				    CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID,
				    CLOCK_THREAD_CPUTIME_ID };

int main(void)
{
	int64_t last, now;
	struct timespec time;
	struct timeval day;

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		int backwards = 0;

		last = clock_now(clocks[i]);
		for (int n = 0; n < 2000; n++) {
			/* By the library, which may know a way without a call, and by the call. */
			clock_gettime(clocks[i], &time);
			now = n % 2 ? ns_of(time) : clock_now(clocks[i]);
			backwards += now < last;
			last = now;
		}
		say("clock %d goes backwards %d times\n", clocks[i], backwards);
		burn(5 * MS);
		CHECK(clock_now(clocks[i]) > last);
	}
	last = clock_now(CLOCK_MONOTONIC_COARSE);
	CHECK(last <= clock_now(CLOCK_MONOTONIC));
	now = clock_now(CLOCK_MONOTONIC);
	CHECK(now - clock_now(CLOCK_MONOTONIC_COARSE) < 20 * MS);
	now = clock_now(CLOCK_MONOTONIC);
	CHECK(now <= clock_now(CLOCK_BOOTTIME));
	gettimeofday(&day, NULL);
	now = clock_now(CLOCK_REALTIME);
	CHECK(day.tv_sec * SECOND + day.tv_usec * 1000 <= now);
	CHECK(now - (day.tv_sec * SECOND + day.tv_usec * 1000) < 5 * SECOND);
	CHECK(syscall(SYS_time, NULL) * SECOND <= clock_now(CLOCK_REALTIME));
	CHECK(clock_now(CLOCK_THREAD_CPUTIME_ID) <= clock_now(CLOCK_PROCESS_CPUTIME_ID));
	CHECK(clock_now(CLOCK_PROCESS_CPUTIME_ID) <= clock_now(CLOCK_MONOTONIC));
	return report_status();
}
