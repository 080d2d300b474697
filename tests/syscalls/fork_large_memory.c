/* Are eight megabytes whole on both sides when parent and child write every other page? */
#include "process.h"

#define NR_PAGES 2048L

static long count(const unsigned *memory, unsigned mark, int first, int step)
{
	long same = 0;

	for (long i = first; i < NR_PAGES; i += step)
		same += memory[i * PAGE / 4] == mark + i && memory[i * PAGE / 4 + 1000] == mark - i;
	return same;
}

static void fill(unsigned *memory, unsigned mark, int first, int step)
{
	for (long i = first; i < NR_PAGES; i += step) {
		memory[i * PAGE / 4] = mark + i;
		memory[i * PAGE / 4 + 1000] = mark - i;
	}
}

int main(void)
{
	unsigned *memory = (unsigned *)map_pages(NR_PAGES);
	volatile int *step = share_pages(1);
	pid_t child;

	fill(memory, 1000000, 0, 1);
	child = spawn();
	if (!child) {
		SHOW(count(memory, 1000000, 0, 1));
		fill(memory, 2000000, 0, 2);
		*step = 1;
		wait_for(step, 2);
		SHOW(count(memory, 2000000, 0, 2));
		SHOW(count(memory, 1000000, 1, 2));
		_exit(0);
	}
	wait_for(step, 1);
	SHOW(count(memory, 1000000, 0, 1));
	fill(memory, 3000000, 1, 2);
	*step = 2;
	reap("child", child);
	SHOW(count(memory, 1000000, 0, 2));
	SHOW(count(memory, 3000000, 1, 2));
	return report_status();
}
