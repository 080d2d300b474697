/* Which number does dup(2) give, and what do the two descriptors share? */
#include "report.h"

int main(void)
{
	int fd, copy, hole;

	enter_scratch("dup");
	fd = make_file("file", "0123456789");
	hole = open("file", O_RDONLY);
	copy = dup(fd);
	CHECK(copy == hole + 1);
	close(hole);
	/* The lowest free number. */
	CHECK(dup(fd) == hole);

	SHOW(lseek(fd, 4, SEEK_SET));
	SHOW(lseek(copy, 0, SEEK_CUR));
	SHOW(fcntl(copy, F_SETFL, O_APPEND));
	CHECK(fcntl(fd, F_GETFL) & O_APPEND);
	/* Close-on-exec is the descriptor's own. */
	SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(copy, F_GETFD));
	SHOW(fcntl(dup(fd), F_GETFD));
	close(fd);
	SHOW(lseek(copy, 0, SEEK_CUR));

	CALL(dup, fd);
	CALL(dup, -1);
	CALL(dup, 9999);
	unlink("file");
	leave_scratch();
	return report_status();
}
