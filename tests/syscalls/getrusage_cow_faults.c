/* How many faults does it take to write memory that is shared after fork(2)? */
#include "process.h"

#define NR_PAGES 64

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Write or read one byte of each page, and return how many faults that was. */
static long touch(volatile char *memory, int write)
{
	long before = faults();

	for (int i = 0; i < NR_PAGES; i++)
		if (write)
			memory[i * PAGE]++;
		else
			memory[i * PAGE];
	return faults() - before;
}

int main(void)
{
	char *memory = map_pages(NR_PAGES);
	volatile int *step = share_pages(1);
	pid_t child;

	madvise(memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE);
	/* Fresh memory: one each.  A few more may be the program's own. */
	CHECK(touch(memory, 1) >= NR_PAGES);
	CHECK(touch(memory, 1) < NR_PAGES / 4);
	child = spawn();
	if (!child) {
		/* Reading shares. */
		CHECK(touch(memory, 0) < NR_PAGES / 4);
		CHECK(touch(memory, 1) >= NR_PAGES);
		CHECK(touch(memory, 1) < NR_PAGES / 4);
		*step = 1;
		wait_for(step, 2);
		_exit(report_status());
	}
	wait_for(step, 1);
	/* Now all is the parent's alone, but it is still protected. */
	CHECK(touch(memory, 0) < NR_PAGES / 4);
	CHECK(touch(memory, 1) >= NR_PAGES);
	CHECK(touch(memory, 1) < NR_PAGES / 4);
	*step = 2;
	reap("child", child);
	return report_status();
}
