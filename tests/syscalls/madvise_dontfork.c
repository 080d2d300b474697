/* Which memory does a child not get, or get empty, because madvise(2) has said so? */
#include "process.h"

static void show_memory(const char *who, char *memory)
{
	show_access(who, memory, 5);
	for (int i = 0; i < 5; i++)
		if (readable(memory + i * PAGE))
			say("%s: page %d holds %c\n", who, i, memory[i * PAGE] ?: '0');
}

int main(void)
{
	char *memory = map_pages(5);
	pid_t child;

	for (int i = 0; i < 5; i++)
		memory[i * PAGE] = 'a' + i;
	CALL(madvise, memory + PAGE, PAGE, MADV_DONTFORK);
	CALL(madvise, memory + 3 * PAGE, PAGE, MADV_WIPEONFORK);
	child = spawn();
	if (!child) {
		show_memory("child", memory);
		/* The child's child gets it empty, too. */
		memory[3 * PAGE] = 'W';
		child = spawn();
		if (!child) {
			show_memory("grandchild", memory);
			_exit(0);
		}
		reap("grandchild", child);
		_exit(0);
	}
	reap("child", child);
	show_memory("parent", memory);
	CALL(madvise, memory + PAGE, PAGE, MADV_DOFORK);
	CALL(madvise, memory + 3 * PAGE, PAGE, MADV_KEEPONFORK);
	child = spawn();
	if (!child) {
		show_memory("child", memory);
		_exit(0);
	}
	reap("child", child);
	/* Not for what is shared. */
	memory = share_pages(1);
	CALL(madvise, memory, PAGE, MADV_WIPEONFORK);
	CALL(madvise, memory, PAGE, MADV_DONTFORK);
	child = spawn();
	if (!child) {
		show_access("child, shared", memory, 1);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
