/* Is memory whole when the other side, with which it was shared, has gone? */
#include "process.h"

#define NR_PAGES 20

int main(void)
{
	volatile int *step = share_pages(1);
	char *memory = map_pages(NR_PAGES);
	pid_t child, grandchild;
	int same = 0, status;

	memset(memory, 'a', NR_PAGES * PAGE);
	/* The child goes without writing; what was shared is the parent's alone. */
	for (int round = 0; round < 5; round++) {
		child = spawn();
		if (!child)
			_exit(memory[round * PAGE]);
		reap("reader", child);
		memset(memory + round * PAGE, 'b', PAGE);
	}
	for (int i = 0; i < NR_PAGES * PAGE; i++)
		same += memory[i] == (i < 5 * PAGE ? 'b' : 'a');
	SHOW(same);

	/* The parent in the middle goes; the grandchild writes what is left to it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	child = spawn();
	if (!child) {
		grandchild = spawn();
		if (!grandchild) {
			wait_for(step, 1);
			memory[0]++;
			memory[PAGE * 10]++;
			say("grandchild: %c %c %c\n", memory[0], memory[PAGE * 10], memory[PAGE * 19]);
			_exit(0);
		}
		memory[0] = 'x';
		_exit(0);
	}
	reap("child", child);
	*step = 1;
	waitpid(-1, &status, 0);
	show_wait_status("grandchild", status);
	return report_status();
}
