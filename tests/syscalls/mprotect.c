/* What does mprotect(2) permit and forbid, page by page, and what does it refuse? */
#include "report.h"

#define READ_WRITE (PROT_READ | PROT_WRITE)

static void show_splits(void)
{
	char *region = map_pages(8);

	memset(region, 'r', 8 * PAGE);
	CALL(mprotect, region + 2 * PAGE, 2 * PAGE, PROT_READ);
	show_access("read", region, 8);
	CALL(mprotect, region + 3 * PAGE, 3 * PAGE, PROT_NONE);
	show_access("none", region, 8);
	CALL(mprotect, region + 4 * PAGE, 1L, READ_WRITE);
	show_access("one byte", region, 8);
	CALL(mprotect, region, 8 * PAGE, PROT_READ);
	show_access("all read", region, 8);
	/* Forbidding does not lose what was there. */
	CALL(mprotect, region, 8 * PAGE, PROT_NONE);
	show_access("all none", region, 8);
	CALL(mprotect, region, 8 * PAGE, READ_WRITE);
	show_access("all again", region, 8);
	CHECK(region[0] == 'r' && region[3 * PAGE] == 'r' && region[8 * PAGE - 1] == 'r');
}

static void show_errors(void)
{
	char *region = map_pages(6);

	CALL(mprotect, region + 1, PAGE, PROT_READ);
	CALL(mprotect, region, 0L, PROT_READ);
	CALL(mprotect, region + 1, 0L, PROT_READ);
	CALL(mprotect, region, PAGE, 0x40);
	CALL(mprotect, region, PAGE, -1);
	CALL(mprotect, region, -1L, PROT_READ);
	CALL(mprotect, region, -PAGE, PROT_READ);
	CALL(mprotect, NULL, PAGE, PROT_READ);
	CALL(mprotect, -PAGE, PAGE, PROT_READ);
	CALL(mprotect, region, PAGE, PROT_READ | PROT_GROWSDOWN);
	CALL(mprotect, region, PAGE, PROT_READ | PROT_GROWSUP);
	CALL(mprotect, region, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP);
	show_access("refused", region, 6);

	/* Pages before a hole are changed, those behind it are not. */
	munmap(region + 3 * PAGE, PAGE);
	CALL(mprotect, region + PAGE, 5 * PAGE, PROT_READ);
	show_access("hole", region, 6);
	CALL(mprotect, region + 3 * PAGE, 2 * PAGE, PROT_READ);
	show_access("from the hole", region, 6);
}

static void show_file(void)
{
	int fd, read_only;
	char *map;

	enter_scratch("mprotect");
	fd = make_file("file", "content");
	read_only = open("file", O_RDONLY);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, read_only, 0);
	/* The file was not opened for that. */
	CALL(mprotect, map, PAGE, READ_WRITE);
	map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, read_only, 0);
	CALL(mprotect, map, PAGE, READ_WRITE);
	map[0] = 'C';
	show_content("file");
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CALL(mprotect, map, PAGE, READ_WRITE);
	map[0] = 'C';
	show_content("file");
	unlink("file");
	leave_scratch();
}

/* mov eax, <value>; ret */
static void put_function(char *code, int value)
{
	code[0] = (char)0xb8;
	memcpy(code + 1, &value, sizeof(value));
	code[5] = (char)0xc3;
}

static int call(char *code)
{
	int (*function)(void);

	memcpy(&function, &code, sizeof(code));
	return function();
}

/* Code that was written, run, and written again. */
static void show_code(void)
{
	char *code = map_pages(1);

	put_function(code, 42);
	CALL(mprotect, code, PAGE, PROT_READ | PROT_EXEC);
	SHOW(call(code));
	show_access("code", code, 1);
	CALL(mprotect, code, PAGE, READ_WRITE);
	put_function(code, 43);
	CALL(mprotect, code, PAGE, PROT_READ | PROT_EXEC);
	SHOW(call(code));
	/* Both at once is allowed, and a store takes effect at once. */
	CALL(mprotect, code, PAGE, READ_WRITE | PROT_EXEC);
	SHOW(call(code));
	put_function(code, 44);
	SHOW(call(code));
}

int main(void)
{
	show_splits();
	show_errors();
	show_file();
	show_code();
	return report_status();
}
