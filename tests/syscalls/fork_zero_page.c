/* Is memory that nobody has written zero on both sides, and their own once written? */
#include "process.h"

static char bss[4 * PAGE] __attribute__((aligned(4096)));

static int is_zero(const char *page)
{
	for (int i = 0; i < PAGE; i++)
		if (page[i])
			return 0;
	return 1;
}

static void show_pages(const char *who, const char *memory)
{
	for (int i = 0; i < 4; i++)
		say("%s: page %d %s\n", who, i, is_zero(memory + i * PAGE) ? "zero" : "written");
}

int main(void)
{
	char *memory = map_pages(4);
	pid_t child;

	/* The first page has been read only, the second written, the others are untouched. */
	CHECK(is_zero(memory) && is_zero(bss));
	memory[PAGE] = bss[PAGE] = 1;
	child = spawn();
	if (!child) {
		show_pages("child at first, map", memory);
		memory[0] = bss[0] = memory[2 * PAGE] = bss[2 * PAGE] = 1;
		memory[PAGE] = 0;
		show_pages("child, map", memory);
		show_pages("child, bss", bss);
		_exit(0);
	}
	reap("child", child);
	show_pages("parent, map", memory);
	show_pages("parent, bss", bss);
	memory[3 * PAGE] = 1;
	show_pages("parent, map", memory);
	return report_status();
}
