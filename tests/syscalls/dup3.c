/* Where does dup3(2) differ from dup2(2)? */
#include "report.h"

#define NUMBER 50

int main(void)
{
	int fd;

	enter_scratch("dup3");
	fd = make_file("file", "");
	CALL(dup3, fd, NUMBER, 0);
	SHOW(fcntl(NUMBER, F_GETFD));
	CALL(dup3, fd, NUMBER, O_CLOEXEC);
	SHOW(fcntl(NUMBER, F_GETFD));
	CALL(dup3, NUMBER, NUMBER, 0);
	CALL(dup3, fd, NUMBER, O_APPEND);
	CALL(dup3, fd, NUMBER, -1);
	CALL(dup3, -1, NUMBER, 0);
	CALL(dup3, -1, -1, 0);
	CALL(dup3, fd, -1, 0);
	CALL(dup3, fd, 1 << 30, 0);
	close(fd);
	CALL(dup3, fd, NUMBER, 0);
	unlink("file");
	leave_scratch();
	return report_status();
}
