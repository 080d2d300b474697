/* How does ftruncate(2) change an open file, its position and its mappings? */
#include "report.h"

int main(void)
{
	int fd, read_only;
	char *map;

	enter_scratch("ftruncate");
	fd = make_file("file", "0123456789");
	lseek(fd, 9, SEEK_SET);
	CALL(ftruncate, fd, 4L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(write(fd, "x", 1));
	show_content("file");
	CALL(ftruncate, fd, 12L);
	show_content("file");

	/* Pages of a mapping that lie past the new end are gone. */
	CALL(ftruncate, fd, 2 * PAGE);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(map, 'm', 2 * PAGE);
	show_access("two pages", map, 2);
	CALL(ftruncate, fd, 100L);
	show_access("a hundred bytes", map, 2);
	CHECK(map[99] == 'm' && map[100] == 0 && map[PAGE - 1] == 0);
	CALL(ftruncate, fd, 2 * PAGE);
	show_access("two pages", map, 2);
	CHECK(map[99] == 'm' && map[100] == 0 && map[PAGE] == 0);

	CALL(ftruncate, fd, -1L);
	read_only = open("file", O_RDONLY);
	CALL(ftruncate, read_only, 0L);
	CALL(ftruncate, open(".", O_RDONLY), 0L);
	CALL(ftruncate, open("/dev/null", O_WRONLY), 0L);
	CALL(ftruncate, open("file", O_PATH), 0L);
	CALL(ftruncate, -1, 0L);
	CALL(ftruncate, -1, -1L);
	unlink("file");
	leave_scratch();
	return report_status();
}
