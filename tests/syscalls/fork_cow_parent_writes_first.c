/* Does a child see memory as it was at fork(2) although the parent writes first? */
#include "process.h"

#define NR_PAGES 40

int main(void)
{
	volatile int *step = share_pages(1);
	char *memory = map_pages(NR_PAGES);
	int same = 0;
	pid_t child;

	for (int i = 0; i < NR_PAGES; i++)
		memset(memory + i * PAGE, 'a' + i % 26, PAGE);
	child = spawn();
	if (!child) {
		wait_for(step, 1);
		for (int i = 0; i < NR_PAGES; i++)
			for (int j = 0; j < PAGE; j++)
				same += memory[i * PAGE + j] == 'a' + i % 26;
		SHOW(same);
		/* By now each page may be the child's alone. */
		memset(memory, 'C', NR_PAGES * PAGE);
		*step = 2;
		_exit(0);
	}
	memset(memory, 'P', NR_PAGES * PAGE);
	*step = 1;
	reap("child", child);
	for (int i = 0; i < NR_PAGES * PAGE; i++)
		same += memory[i] == 'P';
	SHOW(same);
	return report_status();
}
