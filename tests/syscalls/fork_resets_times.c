/* Does a child begin without the times and faults of its parent? */
#include "process.h"
#include <sys/times.h>

static void work(void)
{
	volatile unsigned sink = 0;
	struct rusage usage;

	do {
		for (int i = 0; i < 100000; i++)
			sink += i;
		getrusage(RUSAGE_SELF, &usage);
	} while (usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec < 30000);
}

int main(void)
{
	struct rusage before, after;
	pid_t child;

	work();
	getrusage(RUSAGE_CHILDREN, &before);
	CHECK(before.ru_minflt == 0);
	child = spawn();
	if (!child) {
		struct rusage own, children;
		struct tms ticks;

		getrusage(RUSAGE_SELF, &own);
		getrusage(RUSAGE_CHILDREN, &children);
		times(&ticks);
		CHECK(own.ru_utime.tv_sec == 0 && own.ru_utime.tv_usec < 30000);
		CHECK(ticks.tms_utime < 3);
		CHECK(children.ru_utime.tv_sec == 0 && children.ru_utime.tv_usec == 0);
		CHECK(children.ru_minflt == 0);
		CHECK(ticks.tms_cutime == 0 && ticks.tms_cstime == 0);
		_exit(report_status());
	}
	reap("child", child);
	getrusage(RUSAGE_CHILDREN, &after);
	CHECK(after.ru_minflt > 0);
	return report_status();
}
