/* Does a child get what is in memory that nobody may access at the time? */
#include "process.h"

int main(void)
{
	char *memory = map_pages(3);
	pid_t child;

	for (int i = 0; i < 3; i++)
		memory[i * PAGE] = 'a' + i;
	mprotect(memory, 2 * PAGE, PROT_NONE);
	child = spawn();
	if (!child) {
		without_core();
		show_access("child", memory, 3);
		mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
		say("child: %c\n", memory[0]);
		memory[0] = 'c';
		memory[PAGE]++;
		_exit(0);
	}
	reap("child", child);
	show_access("parent", memory, 3);
	mprotect(memory, 2 * PAGE, PROT_READ | PROT_WRITE);
	say("parent: %c %c %c\n", memory[0], memory[PAGE], memory[2 * PAGE]);
	memory[0] = 'p';
	say("parent: %c\n", memory[0]);
	return report_status();
}
