/* Where does write(2) put its bytes, how far does a bad buffer get, and what cannot be written? */
#include "report.h"

int main(void)
{
	char *pages = map_pages(2);
	int fd, read_only, append, null;

	enter_scratch("write");
	fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0644);
	CALL(write, fd, "abcdef", 6L);
	CALL(write, fd, "", 0L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	lseek(fd, 2, SEEK_SET);
	CALL(write, fd, "XY", 2L);
	show_content("file");

	/* Past the end: the gap reads as zeros. */
	lseek(fd, 8, SEEK_SET);
	CALL(write, fd, "end", 3L);
	show_content("file");

	append = open("file", O_WRONLY | O_APPEND);
	lseek(append, 0, SEEK_SET);
	CALL(write, append, "+", 1L);
	SHOW(lseek(append, 0, SEEK_CUR));
	show_content("file");

	CALL(write, -1, "x", 1L);
	read_only = open("file", O_RDONLY);
	CALL(write, read_only, "x", 1L);
	CALL(write, read_only, "", 0L);
	close(read_only);
	CALL(write, read_only, "x", 1L);

	munmap(pages + PAGE, PAGE);
	memcpy(pages + PAGE - 3, "pqr", 3);
	lseek(fd, 0, SEEK_SET);
	CALL(write, fd, NULL, 1L);
	CALL(write, fd, NULL, 0L);
	CALL(write, fd, "x", -1L);
	CALL(write, fd, pages + PAGE - 3, 10L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	show_content("file");

	/* The null device takes the bytes without looking at them. */
	null = open("/dev/null", O_WRONLY);
	CALL(write, null, "abc", 3L);
	CALL(write, null, pages + PAGE, 3L);

	unlink("file");
	leave_scratch();
	return report_status();
}
