/* Does lstat(2) answer like stat(2) for what is not a symbolic link? */
#include "status.h"

int main(void)
{
	struct stat status;

	enter_scratch("lstat");
	close(make_file("file", "content"));
	CALL(lstat, "file", &status);
	show_status("file", &status);
	CALL(lstat, ".", &status);
	show_status(".", &status);
	CALL(lstat, "/dev/zero", &status);
	show_status("/dev/zero", &status);
	CALL(lstat, "missing", &status);
	CALL(lstat, "file/", &status);
	CALL(lstat, "file/below", &status);
	CALL(lstat, "", &status);
	CALL(lstat, NULL, &status);
	CALL(lstat, "file", NULL);
	unlink("file");
	leave_scratch();
	return report_status();
}
