/* What does dup2(2) do to a number that is in use, to the same number, and out of range? */
#include "report.h"

#define NUMBER 50

int main(void)
{
	int fd, other;

	enter_scratch("dup2");
	fd = make_file("file", "first");
	other = make_file("other", "second");
	CALL(dup2, fd, NUMBER);
	CHECK(lseek(fd, 2, SEEK_SET) == 2 && lseek(NUMBER, 0, SEEK_CUR) == 2);
	/* What was at the number is closed. */
	CALL(dup2, other, NUMBER);
	CHECK(lseek(NUMBER, 0, SEEK_CUR) == 0);
	CHECK(lseek(fd, 0, SEEK_CUR) == 2);

	SHOW(fcntl(NUMBER, F_SETFD, FD_CLOEXEC));
	CALL(dup2, NUMBER, NUMBER);
	SHOW(fcntl(NUMBER, F_GETFD));
	CALL(dup2, fd, NUMBER);
	SHOW(fcntl(NUMBER, F_GETFD));

	close(other);
	CALL(dup2, other, NUMBER);
	CALL(dup2, other, other);
	/* A refused one closes nothing. */
	CHECK(lseek(NUMBER, 0, SEEK_CUR) == 2);
	CALL(dup2, -1, NUMBER);
	CALL(dup2, fd, -1);
	CALL(dup2, fd, 1 << 30);
	CALL(dup2, -1, -1);

	unlink("file");
	unlink("other");
	leave_scratch();
	return report_status();
}
