/* Is memory that a child has shared with its parent whole, when the child executes a program? */
#include "process.h"

#define NR_PAGES 30

static char data[2 * PAGE] = "data";

int main(int argc, char **argv)
{
	volatile int *step;
	char *memory;
	int same = 0;
	pid_t child[4];

	if (argc > 1) {
		say("%s\n", data);
		raise(SIGSTOP);
		return atoi(argv[1]);
	}
	step = share_pages(1);
	memory = map_pages(NR_PAGES);
	memset(memory, 'p', NR_PAGES * PAGE);
	strcpy(data, "parent's");
	for (int i = 0; i < 4; i++) {
		child[i] = spawn();
		if (!child[i]) {
			char number[8];

			memset(memory, 'c', i * 5 * PAGE);
			snprintf(number, sizeof(number), "%d", i);
			execve("/proc/self/exe", (char *[]){ "again", number, NULL }, NULL);
			_exit(127);
		}
		await(child[i], WSTOPPED);
	}
	/* All are other programs by now. */
	for (int i = 0; i < NR_PAGES * PAGE; i++)
		same += memory[i] == 'p';
	SHOW(same);
	say("%s\n", data);
	memset(memory, 'q', NR_PAGES * PAGE);
	for (int i = 0; i < 4; i++) {
		kill(child[i], SIGCONT);
		reap("child", child[i]);
	}
	SHOW(*step);
	return report_status();
}
