/* Is the other side's memory whole when one side unmaps, moves, grows or drops what was forked? */
#include "process.h"

static void show_memory(const char *who, char *memory)
{
	show_access(who, memory, 4);
	for (int i = 0; i < 4; i++)
		if (readable(memory + i * PAGE))
			say("%s: page %d holds %c\n", who, i, memory[i * PAGE] ?: '0');
}

int main(void)
{
	char *memory = map_pages(4);
	volatile int *step = share_pages(1);
	pid_t child;

	for (int i = 0; i < 4; i++)
		memory[i * PAGE] = 'a' + i;
	child = spawn();
	if (!child) {
		char *moved;

		CALL(munmap, memory + PAGE, PAGE);
		moved = mremap(memory + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
		CHECK(moved != memory + 2 * PAGE);
		say("child: moved page holds %c\n", moved[0]);
		moved[0] = 'M';
		CALL(madvise, memory, PAGE, MADV_DONTNEED);
		show_memory("child", memory);
		*step = 1;
		wait_for(step, 2);
		say("child: moved page holds %c\n", moved[0]);
		show_memory("child", memory);
		_exit(0);
	}
	wait_for(step, 1);
	show_memory("parent", memory);
	CALL(munmap, memory + 3 * PAGE, PAGE);
	memory[2 * PAGE] = 'P';
	*step = 2;
	reap("child", child);
	show_memory("parent", memory);
	return report_status();
}
