/* What does munmap(2) take away from the middle, the ends and across several mappings? */
#include "report.h"

int main(void)
{
	char *region = map_pages(8);

	memset(region, 'r', 8 * PAGE);
	CALL(munmap, region + 3 * PAGE, PAGE);
	show_access("middle", region, 8);
	CHECK(region[2 * PAGE] == 'r' && region[4 * PAGE] == 'r');
	CALL(munmap, region, PAGE);
	show_access("start", region, 8);
	CALL(munmap, region + 7 * PAGE, PAGE);
	show_access("end", region, 8);
	/* The size is rounded up. */
	CALL(munmap, region + PAGE, 1L);
	show_access("one byte", region, 8);
	/* What is not there need not be taken away. */
	CALL(munmap, region + 3 * PAGE, PAGE);
	CALL(munmap, region, 8 * PAGE);
	show_access("all", region, 8);

	/* Several mappings of different kinds at once. */
	region = map_pages(8);
	mprotect(region + 2 * PAGE, PAGE, PROT_READ);
	mprotect(region + 4 * PAGE, 2 * PAGE, PROT_NONE);
	show_access("kinds", region, 8);
	CALL(munmap, region + PAGE, 6 * PAGE);
	show_access("across", region, 8);

	CALL(munmap, region + 1, PAGE);
	CALL(munmap, region, 0L);
	CALL(munmap, region, -1L);
	CALL(munmap, region, 1L << 47);
	CALL(munmap, 1L << 47, PAGE);
	CALL(munmap, -PAGE, PAGE);
	CALL(munmap, NULL, PAGE);
	show_access("refused", region, 8);
	return report_status();
}
