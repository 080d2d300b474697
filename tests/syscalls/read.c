/* What does read(2) return within a file, at its end, and for what cannot be read? */
#include "report.h"

int main(void)
{
	char buffer[32] = "";
	char *pages = map_pages(2);
	int fd, write_only, directory, null, zero;

	enter_scratch("read");
	fd = make_file("file", "0123456789");
	CALL(read, fd, buffer, 4L);
	say("\"%s\"\n", buffer);
	CALL(read, fd, buffer, 0L);
	CALL(read, fd, buffer, (long)sizeof(buffer));
	say("\"%.6s\"\n", buffer);
	CALL(read, fd, buffer, (long)sizeof(buffer));
	lseek(fd, 1000, SEEK_SET);
	CALL(read, fd, buffer, 1L);

	CALL(read, -1, buffer, 1L);
	CALL(read, 9999, buffer, 1L);
	write_only = open("file", O_WRONLY);
	CALL(read, write_only, buffer, 1L);
	CALL(read, write_only, buffer, 0L);
	directory = open(".", O_RDONLY);
	CALL(read, directory, buffer, 1L);
	CALL(read, directory, buffer, 0L);

	/* What fits before the hole is read, and the position moves by that. */
	munmap(pages + PAGE, PAGE);
	lseek(fd, 0, SEEK_SET);
	CALL(read, fd, NULL, 1L);
	CALL(read, fd, NULL, 0L);
	CALL(read, fd, buffer, -1L);
	CALL(read, fd, pages + PAGE - 3, 10L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	say("\"%.3s\"\n", pages + PAGE - 3);
	/* At the end of the file nothing is stored, so nothing can fail. */
	lseek(fd, 0, SEEK_END);
	CALL(read, fd, pages + PAGE, 10L);

	null = open("/dev/null", O_RDONLY);
	CALL(read, null, buffer, (long)sizeof(buffer));
	CALL(read, null, pages + PAGE, 1L);
	zero = open("/dev/zero", O_RDONLY);
	memset(buffer, 'x', sizeof(buffer));
	CALL(read, zero, buffer, 8L);
	CHECK(buffer[0] == 0 && buffer[7] == 0 && buffer[8] == 'x');

	close(fd);
	CALL(read, fd, buffer, 1L);
	unlink("file");
	leave_scratch();
	return report_status();
}
