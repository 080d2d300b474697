/* Do times and faults of threads, also of those that have ended, count for their process? */
#include "process.h"

#define NR_PAGES 40

static volatile int tid;
static volatile long own_time, own_faults;

static long time_of(const struct rusage *usage)
{
	return usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec +
	       usage->ru_stime.tv_sec * 1000000 + usage->ru_stime.tv_usec;
}

static int thread_main(void *memory)
{
	struct rusage usage;
	volatile unsigned sink = 0;

	for (int i = 0; i < NR_PAGES; i++)
		((char *)memory)[i * PAGE] = 1;
	do {
		for (int i = 0; i < 10000; i++)
			sink += i;
		getrusage(RUSAGE_THREAD, &usage);
	} while (time_of(&usage) < 20000);
	own_time = time_of(&usage);
	own_faults = usage.ru_minflt;
	return 0;
}

int main(void)
{
	struct rusage before, after, own;
	char *memory = map_pages(NR_PAGES);

	madvise(memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE);
	getrusage(RUSAGE_SELF, &before);
	start_thread(thread_main, memory, &tid);
	wait_for(&tid, 0);
	getrusage(RUSAGE_SELF, &after);
	getrusage(RUSAGE_THREAD, &own);
	CHECK(own_faults >= NR_PAGES);
	CHECK(after.ru_minflt - before.ru_minflt >= own_faults);
	CHECK(time_of(&after) - time_of(&before) >= own_time);
	CHECK(time_of(&own) <= time_of(&after) - own_time);
	/* It is no child. */
	getrusage(RUSAGE_CHILDREN, &after);
	CHECK(after.ru_minflt == 0);
	return report_status();
}
