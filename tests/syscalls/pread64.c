/* Does pread64(2) read where it is told and leave the position alone? */
#include "report.h"

int main(void)
{
	char buffer[32] = "";
	int fd, write_only, directory;

	enter_scratch("pread64");
	fd = make_file("file", "0123456789");
	lseek(fd, 2, SEEK_SET);
	CALL(pread64, fd, buffer, 4L, 5L);
	say("\"%s\"\n", buffer);
	SHOW(lseek(fd, 0, SEEK_CUR));
	CALL(pread64, fd, buffer, 10L, 8L);
	CALL(pread64, fd, buffer, 10L, 10L);
	CALL(pread64, fd, buffer, 10L, 1L << 40);
	CALL(pread64, fd, buffer, 0L, 0L);

	CALL(pread64, fd, buffer, 1L, -1L);
	CALL(pread64, -1, buffer, 1L, 0L);
	CALL(pread64, -1, buffer, 1L, -1L);
	CALL(pread64, fd, NULL, 1L, 0L);
	write_only = open("file", O_WRONLY);
	CALL(pread64, write_only, buffer, 1L, 0L);
	directory = open(".", O_RDONLY);
	CALL(pread64, directory, buffer, 1L, 0L);

	unlink("file");
	leave_scratch();
	return report_status();
}
