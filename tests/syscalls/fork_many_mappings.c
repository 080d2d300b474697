/* Has a child all of many small mappings, each with its content and protection? */
#include "process.h"

#define COUNT 300

int main(void)
{
	unsigned char *memory = (unsigned char *)map_pages(COUNT);
	int writes = 0;
	pid_t child;

	for (int i = 0; i < COUNT; i++)
		memory[i * PAGE] = i;
	/* Writable, not there, read only, by turns. */
	for (int i = 0; i < COUNT; i++) {
		if (i % 3 == 1)
			munmap(memory + i * PAGE, PAGE);
		if (i % 3 == 2)
			mprotect(memory + i * PAGE, PAGE, PROT_READ);
	}
	child = spawn();
	if (!child) {
		int access[3] = {};

		for (int i = 0; i < COUNT; i++)
			access[writable(memory + i * PAGE) ? 2 : readable(memory + i * PAGE)]++;
		say("child: %d not there, %d read only, %d writable\n", access[0], access[1],
		    access[2]);
		for (int i = 0; i < COUNT; i += 3)
			memory[i * PAGE] = 1;
		_exit(0);
	}
	reap("child", child);
	for (int i = 0; i < COUNT; i += 3)
		writes += memory[i * PAGE] == (unsigned char)i;
	SHOW(writes);
	return report_status();
}
