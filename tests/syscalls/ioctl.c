/* What does ioctl(2) answer for files that are no terminals? */
#include "report.h"
#include <sys/ioctl.h>

#define NO_SUCH_REQUEST 0x7fffffffL

int main(void)
{
	char buffer[64];
	int fd, directory, null, value;

	enter_scratch("ioctl");
	fd = make_file("file", "0123456789");
	directory = open(".", O_RDONLY);
	null = open("/dev/null", O_RDWR);
	CALL(ioctl, fd, (long)TCGETS, buffer);
	CALL(ioctl, fd, (long)TIOCGWINSZ, buffer);
	CALL(ioctl, directory, (long)TCGETS, buffer);
	CALL(ioctl, null, (long)TCGETS, buffer);
	CALL(ioctl, fd, NO_SUCH_REQUEST, buffer);
	CALL(ioctl, fd, 0L, 0L);

	/* How much of a file is left to read. */
	CALL(ioctl, fd, (long)FIONREAD, &value);
	SHOW(value);
	lseek(fd, 4, SEEK_SET);
	CALL(ioctl, fd, (long)FIONREAD, &value);
	SHOW(value);
	lseek(fd, 14, SEEK_SET);
	CALL(ioctl, fd, (long)FIONREAD, &value);
	SHOW(value);
	CALL(ioctl, fd, (long)FIONREAD, NULL);
	CALL(ioctl, null, (long)FIONREAD, &value);

	CALL(ioctl, fd, (long)FIOCLEX);
	SHOW(fcntl(fd, F_GETFD));
	CALL(ioctl, fd, (long)FIONCLEX);
	SHOW(fcntl(fd, F_GETFD));
	value = 1;
	CALL(ioctl, fd, (long)FIONBIO, &value);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	value = 0;
	CALL(ioctl, fd, (long)FIONBIO, &value);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	CALL(ioctl, fd, (long)FIONBIO, NULL);

	CALL(ioctl, -1, (long)TCGETS, buffer);
	CALL(ioctl, open("file", O_PATH), (long)TCGETS, buffer);
	close(fd);
	CALL(ioctl, fd, (long)FIONREAD, &value);
	unlink("file");
	leave_scratch();
	return report_status();
}
