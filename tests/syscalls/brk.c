/* How does brk(2) move the end of the heap, and what does it answer when it cannot? */
#include "report.h"
#include <sys/resource.h>

/* The call itself, which answers with the end of the heap and knows no errno. */
static char *sys_brk(char *end)
{
	return (char *)syscall(SYS_brk, end);
}

static void show_growth(char *start)
{
	char *end = start + 16 * PAGE;

	CHECK(sys_brk(end) == end);
	CHECK(sys_brk(NULL) == end);
	show_access("grown", start, 16);
	CHECK(start[0] == 0 && end[-1] == 0);
	memset(start, 'h', end - start);

	/* What was given back and taken again is zeros. */
	CHECK(sys_brk(start + 4 * PAGE) == start + 4 * PAGE);
	show_access("shrunk", start, 8);
	CHECK(sys_brk(end) == end);
	CHECK(start[0] == 'h' && start[4 * PAGE - 1] == 'h');
	CHECK(start[4 * PAGE] == 0 && end[-1] == 0);
}

static void show_parts_of_a_page(char *start)
{
	CHECK(sys_brk(start) == start);
	CHECK(sys_brk(start + 1) == start + 1);
	show_access("one byte", start, 2);
	start[PAGE - 1] = 'p';
	/* Within a page nothing is taken away, and nothing is cleared. */
	CHECK(sys_brk(start + PAGE / 2) == start + PAGE / 2);
	CHECK(sys_brk(start + PAGE) == start + PAGE);
	CHECK(start[PAGE - 1] == 'p');
	show_access("one page", start, 2);
	CHECK(sys_brk(start + PAGE + 1) == start + PAGE + 1);
	show_access("one byte more", start, 3);
	CHECK(sys_brk(start) == start);
	show_access("none", start, 2);
}

static void show_refusals(char *start)
{
	struct rlimit limit, old;
	char *wall;

	CHECK(sys_brk((char *)1) == start);
	CHECK(sys_brk((char *)PAGE) == start);
	CHECK(sys_brk((char *)-PAGE) == start);
	CHECK(sys_brk((char *)0xffff888000000000) == start);
	CHECK(sys_brk(start + (1L << 47)) == start);

	/* The heap does not grow over a mapping, nor right up to it. */
	wall = mmap(start + 64 * PAGE, PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(wall == start + 64 * PAGE);
	CHECK(sys_brk(start + 65 * PAGE) == start);
	CHECK(sys_brk(start + 64 * PAGE) == start);
	CHECK(sys_brk(start + 63 * PAGE) == start + 63 * PAGE);
	CHECK(sys_brk(start) == start);
	munmap(wall, PAGE);

	getrlimit(RLIMIT_DATA, &old);
	limit = old;
	limit.rlim_cur = PAGE;
	SHOW(setrlimit(RLIMIT_DATA, &limit));
	CHECK(sys_brk(start + 256 * PAGE) == start);
	SHOW(setrlimit(RLIMIT_DATA, &old));
	CHECK(sys_brk(start + 256 * PAGE) == start + 256 * PAGE);
	CHECK(sys_brk(start) == start);
}

/* A hole in the heap stays a hole; the heap goes on behind it. */
static void show_hole(char *start)
{
	CHECK(sys_brk(start + 4 * PAGE) == start + 4 * PAGE);
	SHOW(munmap(start + PAGE, PAGE));
	CHECK(sys_brk(start + 5 * PAGE) == start + 5 * PAGE);
	show_access("hole", start, 6);
	CHECK(sys_brk(start) == start);
	show_access("none", start, 6);
}

int main(void)
{
	char *initial = sys_brk(NULL);
	/* The library has put its own things below. */
	char *start = (char *)(((uintptr_t)initial + PAGE - 1) & -PAGE);

	CHECK(sys_brk(start) == start);
	show_growth(start);
	show_parts_of_a_page(start);
	show_refusals(start);
	show_hole(start);
	return report_status();
}
