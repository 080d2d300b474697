/* Does each of a line of processes keep its own view of a page? */
#include "process.h"

#define DEPTH 8

static char page[PAGE] __attribute__((aligned(4096)));

/* Each writes its letter behind those of its ancestors, before and after its child does. */
static void descend(int depth)
{
	size_t length = strlen(page);
	char line[64];
	pid_t child;

	page[length] = 'a' + depth;
	if (depth < DEPTH) {
		child = spawn();
		if (!child) {
			descend(depth + 1);
			_exit(depth + 1);
		}
		snprintf(line, sizeof(line), "generation %d", depth + 1);
		reap(line, child);
	}
	say("generation %d: %s\n", depth, page);
	page[length] = 'A' + depth;
	say("generation %d: %s\n", depth, page);
}

int main(void)
{
	descend(0);
	return report_status();
}
