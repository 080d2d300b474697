/* What does close(2) free, and what stays open behind a second descriptor? */
#include "report.h"

int main(void)
{
	int fd, copy;

	enter_scratch("close");
	fd = make_file("file", "content");
	copy = dup(fd);
	CALL(close, fd);
	CALL(close, fd);
	CALL(close, -1);
	CALL(close, 9999);
	CHECK(lseek(copy, 3, SEEK_SET) == 3);
	/* The lowest free number is used again. */
	CHECK(open("file", O_RDONLY) == fd);
	CALL(close, fd);
	unlink("file");
	CHECK(write(copy, "x", 1) == 1);
	CALL(close, copy);
	CALL(close, copy);
	leave_scratch();
	return report_status();
}
