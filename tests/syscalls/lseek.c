/* Where does lseek(2) go from each origin, and where may it not go? */
#include "report.h"

int main(void)
{
	int fd, copy, null, directory;
	char byte;

	enter_scratch("lseek");
	fd = make_file("file", "0123456789");
	CALL(lseek, fd, 3L, SEEK_SET);
	CALL(lseek, fd, 2L, SEEK_CUR);
	CALL(lseek, fd, -4L, SEEK_CUR);
	CALL(lseek, fd, 0L, SEEK_END);
	CALL(lseek, fd, -10L, SEEK_END);
	CALL(lseek, fd, -1L, SEEK_SET);
	CALL(lseek, fd, -1L, SEEK_CUR);
	CALL(lseek, fd, -11L, SEEK_END);
	/* A refused seek leaves the position alone. */
	CALL(lseek, fd, 0L, SEEK_CUR);
	CALL(lseek, fd, 0L, -1);
	CALL(lseek, fd, 0L, 99);
	CALL(lseek, -1, 0L, SEEK_SET);

	/* Past the end is fine, and does not make the file longer. */
	CALL(lseek, fd, 1L << 40, SEEK_SET);
	SHOW(read(fd, &byte, 1));
	CALL(lseek, fd, 0L, SEEK_END);

	/* This file has no holes but the one at its end. */
	CALL(lseek, fd, 4L, SEEK_DATA);
	CALL(lseek, fd, 4L, SEEK_HOLE);
	CALL(lseek, fd, 10L, SEEK_DATA);
	CALL(lseek, fd, 10L, SEEK_HOLE);
	CALL(lseek, fd, -1L, SEEK_DATA);

	/* The position belongs to the open file, not to the descriptor. */
	copy = dup(fd);
	CALL(lseek, copy, 7L, SEEK_SET);
	CALL(lseek, fd, 0L, SEEK_CUR);

	null = open("/dev/null", O_RDONLY);
	CALL(lseek, null, 100L, SEEK_SET);
	directory = open(".", O_RDONLY);
	CALL(lseek, directory, 0L, SEEK_SET);
	CALL(lseek, directory, -1L, SEEK_SET);
	close(directory);
	directory = open(".", O_PATH);
	CALL(lseek, directory, 0L, SEEK_SET);

	unlink("file");
	leave_scratch();
	return report_status();
}
