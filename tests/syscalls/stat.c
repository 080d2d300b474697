/* What does stat(2) say of files, directories and devices, and which paths does it refuse? */
#include "status.h"

static char long_name[300];

int main(void)
{
	struct stat status, before;

	enter_scratch("stat");
	close(make_file("file", "content"));
	mkdir("directory", 0750);
	CALL(stat, "file", &status);
	show_status("file", &status);
	CALL(stat, "directory", &status);
	show_status("directory", &status);
	CALL(stat, "directory/", &status);
	CALL(stat, ".", &status);
	show_status(".", &status);
	CALL(stat, "/dev/null", &status);
	show_status("/dev/null", &status);
	CALL(stat, "/dev/zero", &status);
	show_status("/dev/zero", &status);

	/* Two paths, one file; two files, two inodes. */
	CALL(stat, "file", &before);
	CALL(stat, "directory/../file", &status);
	CHECK(status.st_ino == before.st_ino && status.st_dev == before.st_dev);
	CALL(stat, "directory", &status);
	CHECK(status.st_ino != before.st_ino && status.st_dev == before.st_dev);

	close(make_file("file", "longer content"));
	CALL(stat, "file", &status);
	show_status("file", &status);
	CHECK(status.st_mtime >= before.st_mtime);
	CHECK(status.st_ctime >= before.st_ctime);

	CALL(stat, "missing", &status);
	CALL(stat, "missing/file", &status);
	CALL(stat, "file/", &status);
	CALL(stat, "file/below", &status);
	CALL(stat, "", &status);
	CALL(stat, NULL, &status);
	CALL(stat, "file", NULL);
	CALL(stat, "missing", NULL);
	memset(long_name, 'n', 256);
	CALL(stat, long_name, &status);

	unlink("file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
