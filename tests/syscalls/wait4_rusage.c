/* What does wait4(2) tell of what the child has used? */
#include "process.h"

#define NR_PAGES 50

static void use(long ms)
{
	volatile unsigned sink = 0;
	struct rusage usage;

	do {
		for (int i = 0; i < 10000; i++)
			sink += i;
		getrusage(RUSAGE_SELF, &usage);
	} while (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec < ms * 1000);
}

int main(void)
{
	struct rusage light, heavy, children;
	pid_t child = spawn();

	if (!child)
		_exit(0);
	CHECK(syscall(SYS_wait4, child, NULL, 0, &light) == child);
	child = spawn();
	if (!child) {
		char *memory = map_pages(NR_PAGES);

		/* One by one, for memory that is asked for in bulk may come in larger pages. */
		madvise(memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE);
		for (int i = 0; i < NR_PAGES; i++)
			memory[i * PAGE] = 1;
		use(20);
		_exit(0);
	}
	memset(&heavy, -1, sizeof(heavy));
	CHECK(syscall(SYS_wait4, child, NULL, 0, &heavy) == child);
	CHECK(light.ru_minflt > 0);
	CHECK(heavy.ru_minflt >= NR_PAGES);
	CHECK(heavy.ru_minflt >= light.ru_minflt + NR_PAGES / 2);
	CHECK(heavy.ru_utime.tv_usec + heavy.ru_stime.tv_usec >= 20000);
	CHECK(light.ru_maxrss > 0 && heavy.ru_maxrss >= light.ru_maxrss);
	SHOW(heavy.ru_nswap);
	SHOW(heavy.ru_isrss);
	getrusage(RUSAGE_CHILDREN, &children);
	CHECK(children.ru_minflt == light.ru_minflt + heavy.ru_minflt);
	CHECK(children.ru_maxrss >= heavy.ru_maxrss);
	return report_status();
}
