/* Does the file hold what was stored after msync(2), and what does it refuse? */
#include "report.h"

int main(void)
{
	char *region, *map;
	int fd;

	enter_scratch("msync");
	fd = make_file("file", "0123456789");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(map, "abc", 3);
	CALL(msync, map, PAGE, MS_SYNC);
	show_content("file");
	CALL(msync, map, 1L, MS_SYNC);
	CALL(msync, map, PAGE, MS_ASYNC);
	CALL(msync, map, PAGE, MS_INVALIDATE);
	CALL(msync, map, PAGE, MS_SYNC | MS_INVALIDATE);
	CALL(msync, map, PAGE, 0);
	CALL(msync, map, 0L, MS_SYNC);
	region = map_pages(4);
	CALL(msync, region, 4 * PAGE, MS_SYNC);

	CALL(msync, map, PAGE, MS_SYNC | MS_ASYNC);
	CALL(msync, map, PAGE, 8);
	CALL(msync, map + 1, PAGE, MS_SYNC);
	CALL(msync, map, -1L, MS_SYNC);
	CALL(msync, map, -PAGE, MS_SYNC);
	CALL(msync, NULL, PAGE, MS_SYNC);
	munmap(region + PAGE, PAGE);
	CALL(msync, region, 4 * PAGE, MS_SYNC);
	CALL(msync, region, PAGE, MS_SYNC);

	unlink("file");
	leave_scratch();
	return report_status();
}
