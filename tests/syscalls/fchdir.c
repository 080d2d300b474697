/* Where does fchdir(2) lead, and which descriptors does it refuse? */
#include "report.h"

int main(void)
{
	int directory, path, file;

	enter_scratch("fchdir");
	mkdir("directory", 0755);
	file = make_file("directory/file", "");
	directory = open("directory", O_RDONLY);
	path = open(".", O_PATH);
	CALL(fchdir, directory);
	SHOW(access("file", F_OK));
	CALL(fchdir, path);
	SHOW(access("directory", F_OK));
	CALL(fchdir, file);
	CALL(fchdir, -1);
	close(file);
	CALL(fchdir, file);
	SHOW(access("directory", F_OK));
	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	/* The descriptor still leads to what was removed. */
	CALL(fchdir, directory);
	SHOW(access(".", F_OK));
	SHOW(access("file", F_OK));
	CALL(fchdir, path);
	leave_scratch();
	return report_status();
}
