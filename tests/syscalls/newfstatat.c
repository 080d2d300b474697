/* From where does newfstatat(2) start, and what do its flags change? */
#include "status.h"

int main(void)
{
	struct stat status;
	int directory, file;

	enter_scratch("newfstatat");
	mkdir("directory", 0755);
	file = make_file("directory/file", "content");
	directory = open("directory", O_RDONLY);
	CALL(newfstatat, directory, "file", &status, 0);
	show_status("file", &status);
	CALL(newfstatat, directory, "file", &status, AT_SYMLINK_NOFOLLOW);
	CALL(newfstatat, directory, "file", &status, AT_NO_AUTOMOUNT);
	CALL(newfstatat, AT_FDCWD, "directory/file", &status, 0);
	CALL(newfstatat, AT_FDCWD, "file", &status, 0);
	CALL(newfstatat, -1, "/dev/null", &status, 0);
	show_status("/dev/null", &status);

	/* With AT_EMPTY_PATH the descriptor itself is meant. */
	CALL(newfstatat, file, "", &status, AT_EMPTY_PATH);
	show_status("file", &status);
	CALL(newfstatat, AT_FDCWD, "", &status, AT_EMPTY_PATH);
	show_status(".", &status);
	CALL(newfstatat, directory, "file", &status, AT_EMPTY_PATH);
	show_status("file", &status);
	CALL(newfstatat, file, "", &status, 0);
	CALL(newfstatat, -1, "", &status, AT_EMPTY_PATH);

	CALL(newfstatat, -1, "file", &status, 0);
	CALL(newfstatat, file, "file", &status, 0);
	CALL(newfstatat, directory, "file", &status, AT_REMOVEDIR);
	CALL(newfstatat, directory, "file", &status, 1 << 30);
	CALL(newfstatat, directory, "missing", &status, 0);
	CALL(newfstatat, directory, NULL, &status, 0);
	CALL(newfstatat, directory, "file", NULL, 0);

	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
