/* Does the vDSO read each clock as the system call does, and refuse what that refuses? */
#include "vdso.h"

static long (*gettime)(clockid_t clock, struct timespec *time);

static int64_t by_vdso(clockid_t clock)
{
	struct timespec time;

	if (gettime(clock, &time))
		die("read a clock by the vDSO");
	return ns_of(time);
}

int main(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
					    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
					    CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID,
					    CLOCK_THREAD_CPUTIME_ID };
	static const clockid_t none[] = { 10, 12, 31, 32, 33, 64, 1000, ~0 << 3 | 3 };
	struct timespec time;

	if (!open_vdso())
		die("find the vDSO");
	gettime = vdso_function("__vdso_clock_gettime");
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		int backwards = 0;

		say("clock %d\n", clocks[i]);
		for (int n = 0; n < 1000; n++) {
			int64_t before = clock_now(clocks[i]), now = by_vdso(clocks[i]);

			backwards += now < before || clock_now(clocks[i]) < now;
		}
		SHOW(backwards);
		gettime(clocks[i], &time);
		CHECK(time.tv_nsec >= 0 && time.tv_nsec < SECOND);
	}
	CHECK(by_vdso(~gettid() << 3 | 6) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		say("clock %d: ", none[i]);
		SHOW(-gettime(none[i], &time) == EINVAL);
	}
	SHOW(-gettime(CLOCK_PROCESS_CPUTIME_ID, (void *)8) == EFAULT);
	return report_status();
}
