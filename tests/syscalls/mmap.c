/* What does mmap(2) put where, what does it show of a file, and what does it refuse? */
#include "report.h"

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define READ_WRITE (PROT_READ | PROT_WRITE)

/* Past what ring 3 can have. */
#define TOO_HIGH (1L << 47)

static char *map(void *address, long size, int protection, int flags)
{
	return mmap(address, size, protection, flags, -1, 0);
}

static void show_anonymous(void)
{
	char *address = (char *)CALL_OK(mmap, NULL, 4 * PAGE, READ_WRITE, ANONYMOUS, -1, 0L);

	CHECK((uintptr_t)address % PAGE == 0);
	CHECK(address[0] == 0 && address[4 * PAGE - 1] == 0);
	show_access("read and write", address, 4);
	show_access("read", map(NULL, PAGE, PROT_READ, ANONYMOUS), 1);
	show_access("none", map(NULL, PAGE, PROT_NONE, ANONYMOUS), 1);
	/* The processor cannot write without reading. */
	show_access("write", map(NULL, PAGE, PROT_WRITE, ANONYMOUS), 1);
	show_access("shared", map(NULL, PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS), 1);
	/* The rest of the last page belongs to it. */
	show_access("one byte", map(NULL, 1, READ_WRITE, ANONYMOUS), 1);

	CALL_OK(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS | MAP_POPULATE, -1, 0L);
	CALL_OK(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS | MAP_NORESERVE, -1, 0L);
	CALL_OK(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS | MAP_STACK, -1, 0L);
	CALL_OK(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS, 9999, 0L);
	CALL_OK(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS, -1, PAGE);
	CALL_OK(mmap, NULL, 1L << 40, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0L);
}

static void show_placement(void)
{
	char *region = map(NULL, 8 * PAGE, READ_WRITE, ANONYMOUS);
	char *taken = region;
	char *free = region + 4 * PAGE;

	memset(region, 'r', 8 * PAGE);
	munmap(free, 2 * PAGE);
	CHECK(map(free, PAGE, READ_WRITE, ANONYMOUS) == free);
	/* A hint is rounded down, and only a hint. */
	CHECK(map(free + PAGE + 1, PAGE, READ_WRITE, ANONYMOUS) == free + PAGE);
	CHECK(map(taken, PAGE, READ_WRITE, ANONYMOUS) != taken);
	CHECK(taken[0] == 'r');

	CHECK(map(taken, PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED_NOREPLACE) == MAP_FAILED);
	SHOW(mmap(taken + PAGE, 8 * PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	CHECK(taken[0] == 'r' && taken[PAGE] == 'r');
	munmap(free, 2 * PAGE);
	CHECK(map(free, 2 * PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED_NOREPLACE) == free);

	/* MAP_FIXED replaces what is there, and only that. */
	CHECK(map(taken + PAGE, 2 * PAGE, PROT_READ, ANONYMOUS | MAP_FIXED) == taken + PAGE);
	show_access("replaced", region, 8);
	CHECK(taken[0] == 'r' && taken[PAGE] == 0 && taken[3 * PAGE] == 'r');
	SHOW(mmap(taken + 1, PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(mmap(taken + 1, PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	SHOW(mmap((void *)TOO_HIGH, PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(mmap((void *)-PAGE, PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED, -1, 0));
	CALL_OK(mmap, -PAGE, PAGE, READ_WRITE, ANONYMOUS, -1, 0L);
}

static void show_errors(int fd)
{
	int read_only = open("file", O_RDONLY);
	int write_only = open("file", O_WRONLY);
	int directory = open(".", O_RDONLY);

	CALL(mmap, NULL, 0L, READ_WRITE, ANONYMOUS, -1, 0L);
	CALL(mmap, NULL, -1L, READ_WRITE, ANONYMOUS, -1, 0L);
	CALL(mmap, NULL, 1L << 47, READ_WRITE, ANONYMOUS, -1, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, MAP_ANONYMOUS, -1, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, 0, fd, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, MAP_PRIVATE, -1, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, MAP_PRIVATE, 9999, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, MAP_PRIVATE, fd, 1L);
	CALL(mmap, NULL, PAGE, READ_WRITE, ANONYMOUS, -1, 1L);
	CALL(mmap, NULL, 0L, READ_WRITE, MAP_PRIVATE, fd, 0L);

	CALL_OK(mmap, NULL, PAGE, PROT_READ, MAP_SHARED, read_only, 0L);
	CALL(mmap, NULL, PAGE, READ_WRITE, MAP_SHARED, read_only, 0L);
	CALL_OK(mmap, NULL, PAGE, READ_WRITE, MAP_PRIVATE, read_only, 0L);
	CALL(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, write_only, 0L);
	CALL(mmap, NULL, PAGE, PROT_WRITE, MAP_SHARED, write_only, 0L);
	CALL(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0L);
	CALL(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, open("file", O_PATH), 0L);
}

static void show_private_file(int fd)
{
	char *map = mmap(NULL, 2 * PAGE, READ_WRITE, MAP_PRIVATE, fd, 0);
	char byte = 0;

	CHECK(!memcmp(map, "content", 7));
	/* The rest of the last page is zeros; there are no pages after it. */
	CHECK(map[7] == 0 && map[PAGE - 1] == 0);
	show_access("private, beyond the end", map, 2);
	map[0] = 'C';
	map[7] = '!';
	show_content("file");
	SHOW(pwrite(fd, "X", 1, 0));
	CHECK(map[0] == 'C');
	/* The mapping outlives the descriptor. */
	byte = map[1];
	CHECK(byte == 'o');
	munmap(map, 2 * PAGE);
	SHOW(pwrite(fd, "c", 1, 0));
}

static void show_shared_file(int fd)
{
	char *map = mmap(NULL, PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	char *again = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char *copy = mmap(NULL, PAGE, READ_WRITE, MAP_PRIVATE, fd, 0);
	char buffer[8] = "";

	memcpy(map, "SHARED", 6);
	SHOW(pread(fd, buffer, 7, 0));
	say("\"%s\"\n", buffer);
	CHECK(!memcmp(again, "SHARED", 6) && !memcmp(copy, "SHARED", 6));
	SHOW(pwrite(fd, "from file", 9, 0));
	CHECK(!memcmp(map, "from file", 9) && !memcmp(again, "from file", 9));

	close(fd);
	unlink("file");
	map[0] = 'F';
	CHECK(again[0] == 'F');
	munmap(map, PAGE);
	CHECK(!memcmp(again, "From file", 9));
}

static void show_offset(void)
{
	int fd = make_file("pages", "");
	char *map;

	for (int i = 0; i < 3; i++)
		pwrite(fd, &"abc"[i], 1, i * PAGE);
	map = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	CHECK(map[0] == 'b' && map[PAGE] == 'c');
	/* One more page of the same file, in the middle of other memory. */
	map = map_pages(3);
	CHECK(mmap(map + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE) ==
	      map + PAGE);
	CHECK(map[0] == 0 && map[PAGE] == 'c' && map[2 * PAGE] == 0);
	show_access("in the middle", map, 3);
	close(fd);
	unlink("pages");
}

int main(void)
{
	int fd;

	show_anonymous();
	show_placement();
	enter_scratch("mmap");
	fd = make_file("file", "content");
	show_errors(fd);
	show_private_file(fd);
	show_shared_file(fd);
	show_offset();
	leave_scratch();
	return report_status();
}
