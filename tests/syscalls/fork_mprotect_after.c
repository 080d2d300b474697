/* Is the protection of memory that was forked each side's own, and does it hold? */
#include "process.h"

static void show_both(const char *who, char *memory)
{
	show_access(who, memory, 4);
}

int main(void)
{
	char *memory = map_pages(4);
	pid_t child;

	memset(memory, 'a', 4 * PAGE);
	mprotect(memory, PAGE, PROT_READ);
	child = spawn();
	if (!child) {
		without_core();
		show_both("child at first", memory);
		CALL(mprotect, memory, PAGE, PROT_READ | PROT_WRITE);
		CALL(mprotect, memory + PAGE, PAGE, PROT_NONE);
		CALL(mprotect, memory + 2 * PAGE, PAGE, PROT_READ);
		memory[0] = 'c';
		memory[3 * PAGE] = 'c';
		show_both("child", memory);
		memory[2 * PAGE] = 'c';
		say("still there\n");
		_exit(0);
	}
	reap("child", child);
	show_both("parent", memory);
	say("%c %c %c %c\n", memory[0], memory[PAGE], memory[2 * PAGE], memory[3 * PAGE]);

	/* Read only at fork(2), still shared: a write that is allowed later copies. */
	child = spawn();
	if (!child) {
		mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
		memory[0] = 'c';
		_exit(memory[0]);
	}
	reap("child", child);
	mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
	SHOW(memory[0]);
	child = spawn();
	if (!child) {
		without_core();
		mprotect(memory, PAGE, PROT_READ);
		memory[0] = 'c';
		_exit(1);
	}
	reap("child that writes where it may not", child);
	memory[0] = 'p';
	SHOW(memory[0]);
	return report_status();
}
