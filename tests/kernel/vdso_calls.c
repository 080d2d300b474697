/* Reads clocks through the C library, so many times each; see test_vdso.py. */
#include "../syscalls/report.h"
#include <sched.h>
#include <sys/time.h>

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 0;
	int64_t sum = 0;

	for (long i = 0; i < n; i++) {
		struct timespec time;
		struct timeval day;

		clock_gettime(CLOCK_MONOTONIC, &time);
		sum += time.tv_nsec;
		clock_gettime(CLOCK_REALTIME, &time);
		sum += time.tv_nsec;
		clock_gettime(CLOCK_REALTIME_COARSE, &time);
		sum += time.tv_nsec;
		gettimeofday(&day, NULL);
		sum += day.tv_usec;
	}
	say("%ld\n", (long)sum);
	return 0;
}
