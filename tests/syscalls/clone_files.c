/* Is the table of descriptors shared with CLONE_FILES, and not without? */
#include "process.h"

static int fd, second;
static volatile int *opened;

static int child_main(void *unused)
{
	(void)unused;
	close(fd);
	*opened = open("/dev/null", O_RDONLY);
	fcntl(second, F_SETFD, FD_CLOEXEC);
	return 0;
}

int main(void)
{
	opened = share_pages(1);
	fd = open("/dev/zero", O_RDONLY);
	second = open("/dev/zero", O_RDONLY);
	reap("child", start(child_main, SIGCHLD, NULL));
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, second, F_GETFD);
	reap("child", start(child_main, CLONE_FILES | SIGCHLD, NULL));
	/* Closed, and the lowest number taken again. */
	CHECK(*opened == fd);
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, second, F_GETFD);
	CALL(close, *opened);
	CALL(close, *opened);
	return report_status();
}
