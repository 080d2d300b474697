/* Do gettimeofday, time, getcpu and clock_getres of the vDSO agree with their calls? */
#include "vdso.h"

int main(void)
{
	long (*day)(struct timeval *, struct timezone *);
	long (*seconds)(time_t *), (*cpu)(unsigned *, unsigned *, void *);
	long (*resolution)(clockid_t, struct timespec *);
	struct timeval time, before, after;
	struct timezone zone = { 7, 7 }, other;
	struct timespec res, call;
	unsigned number = 77777, node = 77777;
	time_t at = 7, now;
	int strange = 0;

	if (!open_vdso())
		die("find the vDSO");
	day = vdso_function("__vdso_gettimeofday");
	seconds = vdso_function("__vdso_time");
	cpu = vdso_function("__vdso_getcpu");
	resolution = vdso_function("__vdso_clock_getres");
	for (int i = 0; i < 500; i++) {
		syscall(SYS_gettimeofday, &before, NULL);
		strange += day(&time, NULL) != 0;
		syscall(SYS_gettimeofday, &after, NULL);
		strange += us_of(time) < us_of(before) || us_of(after) < us_of(time);
		strange += time.tv_usec < 0 || time.tv_usec > 999999;
	}
	SHOW(strange);
	SHOW(day(NULL, &zone));
	syscall(SYS_gettimeofday, NULL, &other);
	CHECK(zone.tz_minuteswest == other.tz_minuteswest);
	CHECK(zone.tz_dsttime == other.tz_dsttime);
	SHOW(day(NULL, NULL));

	now = syscall(SYS_time, NULL);
	CHECK(seconds(&at) >= now);
	CHECK(at >= now);
	CHECK(seconds(NULL) - at <= 2);
	CHECK(syscall(SYS_time, NULL) - now <= 2);

	SHOW(cpu(&number, &node, NULL));
	CHECK(number < 4096);
	CHECK(node < 4096);
	SHOW(cpu(NULL, NULL, NULL));
	SHOW(cpu(&number, NULL, NULL));

	for (clockid_t clock = -20; clock < 16; clock++) {
		/* Alarm clocks need a device, which not every host has. */
		if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM ||
		    (clock < 0 && (clock & 7) == 3))
			continue;
		long result = resolution(clock, &res);
		long expected = syscall(SYS_clock_getres, clock, &call);

		if (expected ? result != -errno : result || ns_of(res) != ns_of(call))
			say("clock %d: resolution %ld\n", clock, result);
	}
	SHOW(resolution(CLOCK_MONOTONIC, NULL));
	SHOW(resolution(CLOCK_MONOTONIC_COARSE, NULL));
	return report_status();
}
