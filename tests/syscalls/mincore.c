/* Which pages does mincore(2) call resident, and what does it refuse? */
#include "report.h"

#define NR_PAGES 8

static unsigned char vector[NR_PAGES + 1];

static void show_vector(const char *what)
{
	char line[NR_PAGES + 2] = "";

	for (int i = 0; i <= NR_PAGES; i++)
		line[i] = vector[i] == 0xff ? '.' : '0' + (vector[i] & 1);
	say("%s: %s\n", what, line);
	memset(vector, 0xff, sizeof(vector));
}

int main(void)
{
	char *region = map_pages(NR_PAGES);
	char *map;
	int fd;

	memset(vector, 0xff, sizeof(vector));
	CALL(mincore, region, NR_PAGES * PAGE, vector);
	show_vector("untouched");
	region[2 * PAGE] = 1;
	region[5 * PAGE] = 1;
	CALL(mincore, region, NR_PAGES * PAGE, vector);
	show_vector("two written");
	CALL(mincore, region + 2 * PAGE, PAGE + 1, vector);
	show_vector("from the third, rounded up");
	madvise(region, NR_PAGES * PAGE, MADV_DONTNEED);
	CALL(mincore, region, NR_PAGES * PAGE, vector);
	show_vector("thrown away");

	/* A page of a file is resident when the page cache has it. */
	enter_scratch("mincore");
	fd = make_file("file", "content");
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CALL(mincore, map, PAGE, vector);
	show_vector("file");
	unlink("file");
	leave_scratch();

	CALL(mincore, region, 0L, vector);
	CALL(mincore, region + 1, PAGE, vector);
	CALL(mincore, region, PAGE, NULL);
	CALL(mincore, region, -1L, vector);
	CALL(mincore, NULL, PAGE, vector);
	CALL(mincore, -PAGE, PAGE, vector);
	munmap(region + PAGE, PAGE);
	CALL(mincore, region, NR_PAGES * PAGE, vector);
	CALL(mincore, region + PAGE, PAGE, vector);
	return report_status();
}
