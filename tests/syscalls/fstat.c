/* What does fstat(2) say of an open file, also when its name is gone? */
#include "status.h"

int main(void)
{
	struct stat status;
	int fd, directory;

	enter_scratch("fstat");
	fd = make_file("file", "content");
	CALL(fstat, fd, &status);
	show_status("file", &status);
	write(fd, "longer content", 14);
	CALL(fstat, fd, &status);
	show_status("file", &status);
	unlink("file");
	CALL(fstat, fd, &status);
	show_status("file", &status);

	directory = open(".", O_RDONLY);
	CALL(fstat, directory, &status);
	show_status(".", &status);
	CALL(fstat, open(".", O_PATH), &status);
	show_status(".", &status);
	CALL(fstat, open("/dev/null", O_WRONLY), &status);
	show_status("/dev/null", &status);

	CALL(fstat, fd, NULL);
	close(fd);
	CALL(fstat, fd, &status);
	CALL(fstat, -1, &status);
	CALL(fstat, -1, NULL);
	leave_scratch();
	return report_status();
}
