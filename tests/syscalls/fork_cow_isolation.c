/* Does neither side see what the other writes, wherever the memory is? */
#include "process.h"

static char data[2 * PAGE] = "data";
static char bss[2 * PAGE];
static volatile int *step;

static void show_memory(const char *who, char *const *place, const char *const *name, int count)
{
	for (int i = 0; i < count; i++)
		say("%s: %s holds %s\n", who, name[i], place[i]);
}

int main(void)
{
	char stack[2 * PAGE];
	const char *const name[] = { "data", "bss", "stack", "heap", "anonymous" };
	char *place[] = { data, bss, stack, sbrk(2 * PAGE), map_pages(2) };
	const int count = ARRAY_SIZE(place);
	pid_t child;

	step = share_pages(1);
	for (int i = 0; i < count; i++)
		strcpy(place[i], "before");
	child = spawn();
	if (!child) {
		show_memory("child at first", place, name, count);
		for (int i = 0; i < count; i++)
			strcpy(place[i], "child");
		*step = 1;
		wait_for(step, 2);
		show_memory("child", place, name, count);
		_exit(0);
	}
	wait_for(step, 1);
	show_memory("parent at first", place, name, count);
	for (int i = 0; i < count; i++)
		strcpy(place[i], "parent");
	*step = 2;
	reap("child", child);
	show_memory("parent", place, name, count);
	return report_status();
}
