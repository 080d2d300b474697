/* Which flags does fcntl(2) report and change, and which numbers does F_DUPFD give? */
#include "report.h"

static void show_status_flags(const char *what, int fd)
{
	say("%s: %#o\n", what, fcntl(fd, F_GETFL));
}

int main(void)
{
	int fd, copy;

	enter_scratch("fcntl");
	fd = make_file("file", "content");
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, fd, F_SETFD, FD_CLOEXEC);
	CALL(fcntl, fd, F_GETFD);
	/* Of this word only one bit counts. */
	CALL(fcntl, fd, F_SETFD, 0xfeL);
	CALL(fcntl, fd, F_GETFD);

	/* Flags that only direct open(2) are not kept; O_LARGEFILE is added. */
	show_status_flags("read and write", fd);
	show_status_flags("read", open("file", O_RDONLY));
	show_status_flags("write", open("file", O_WRONLY | O_TRUNC | O_CREAT, 0644));
	show_status_flags("append", open("file", O_WRONLY | O_APPEND));
	show_status_flags("nonblock", open("file", O_RDONLY | O_NONBLOCK));
	show_status_flags("directory", open(".", O_RDONLY | O_DIRECTORY));
	show_status_flags("close on exec", open("file", O_RDONLY | O_CLOEXEC));
	show_status_flags("path", open("file", O_PATH));

	CALL(fcntl, fd, F_SETFL, (long)(O_APPEND | O_NONBLOCK));
	show_status_flags("set", fd);
	/* The access mode cannot be changed, and is not looked at. */
	CALL(fcntl, fd, F_SETFL, (long)(O_WRONLY | O_CREAT | O_EXCL));
	show_status_flags("set", fd);
	SHOW(write(fd, "x", 1));
	CALL(fcntl, open("file", O_PATH), F_SETFL, (long)O_APPEND);

	copy = fcntl(fd, F_DUPFD, 70);
	SHOW(copy);
	SHOW(fcntl(fd, F_DUPFD, 70));
	SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 70));
	SHOW(fcntl(70, F_GETFD));
	SHOW(fcntl(72, F_GETFD));
	CHECK(fcntl(fd, F_DUPFD, 0) > fd);
	CALL(fcntl, fd, F_DUPFD, -1L);
	CALL(fcntl, fd, F_DUPFD, 1L << 30);

	CALL(fcntl, fd, 9999, 0L);
	CALL(fcntl, fd, -1, 0L);
	CALL(fcntl, -1, F_GETFD);
	CALL(fcntl, -1, 9999, 0L);
	close(fd);
	CALL(fcntl, fd, F_GETFL);
	unlink("file");
	leave_scratch();
	return report_status();
}
