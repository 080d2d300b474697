/* What does madvise(2) throw away, which advice changes nothing, and what is refused? */
#include "report.h"

static void show_dont_need(void)
{
	char *region = map_pages(4);
	char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	char *map;
	int fd;

	memset(region, 'r', 4 * PAGE);
	CALL(madvise, region + PAGE, 2 * PAGE, MADV_DONTNEED);
	CHECK(region[0] == 'r' && region[PAGE] == 0);
	CHECK(region[3 * PAGE - 1] == 0 && region[3 * PAGE] == 'r');
	show_access("still mapped", region, 4);
	/* The size is rounded up to pages. */
	CALL(madvise, region, 1L, MADV_DONTNEED);
	CHECK(region[0] == 0 && region[PAGE - 1] == 0);

	/* Shared memory is still there for the next who looks. */
	shared[0] = 's';
	CALL(madvise, shared, PAGE, MADV_DONTNEED);
	CHECK(shared[0] == 's');

	/* A private copy goes, and the file shows again. */
	fd = make_file("file", "content");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	map[0] = 'C';
	CALL(madvise, map, PAGE, MADV_DONTNEED);
	CHECK(map[0] == 'c');
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[0] = 'C';
	CALL(madvise, map, PAGE, MADV_DONTNEED);
	CHECK(map[0] == 'C');
	show_content("file");
	unlink("file");
}

static void show_hints(void)
{
	char *region = map_pages(2);

	memset(region, 'r', 2 * PAGE);
	CALL(madvise, region, 2 * PAGE, MADV_NORMAL);
	CALL(madvise, region, 2 * PAGE, MADV_RANDOM);
	CALL(madvise, region, 2 * PAGE, MADV_SEQUENTIAL);
	CALL(madvise, region, 2 * PAGE, MADV_DONTFORK);
	CALL(madvise, region, 2 * PAGE, MADV_DOFORK);
	CHECK(region[0] == 'r' && region[2 * PAGE - 1] == 'r');
	/* Freed pages may keep their bytes until someone else needs them. */
	CALL(madvise, region, PAGE, MADV_FREE);
	CHECK(region[0] == 'r' || region[0] == 0);
	region[0] = 'x';
	CHECK(region[0] == 'x' && region[PAGE] == 'r');
}

static void show_errors(void)
{
	char *region = map_pages(4);

	CALL(madvise, region + 1, PAGE, MADV_DONTNEED);
	CALL(madvise, region, PAGE, 9999);
	CALL(madvise, region, PAGE, -1);
	CALL(madvise, region, 0L, MADV_DONTNEED);
	CALL(madvise, region, 0L, 9999);
	CALL(madvise, region, -1L, MADV_DONTNEED);
	CALL(madvise, region, -PAGE, MADV_DONTNEED);
	CALL(madvise, NULL, PAGE, MADV_DONTNEED);
	CALL(madvise, NULL, PAGE, MADV_NORMAL);

	/* Unlike mprotect(2), it goes on behind a hole, and says so at the end. */
	memset(region, 'r', 4 * PAGE);
	munmap(region + PAGE, PAGE);
	CALL(madvise, region, 4 * PAGE, MADV_DONTNEED);
	CHECK(region[0] == 0 && region[2 * PAGE] == 0 && region[3 * PAGE] == 0);
}

int main(void)
{
	enter_scratch("madvise");
	show_dont_need();
	show_hints();
	show_errors();
	leave_scratch();
	return report_status();
}
