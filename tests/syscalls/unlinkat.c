/* What does unlinkat(2) remove with and without AT_REMOVEDIR? */
#include "report.h"

int main(void)
{
	int directory, file;

	enter_scratch("unlinkat");
	mkdir("directory", 0755);
	file = make_file("directory/file", "");
	directory = open("directory", O_RDONLY);
	CALL(unlinkat, AT_FDCWD, "directory", 0);
	CALL(unlinkat, AT_FDCWD, "directory", AT_REMOVEDIR);
	CALL(unlinkat, directory, "file", AT_REMOVEDIR);
	CALL(unlinkat, directory, "file", AT_SYMLINK_NOFOLLOW);
	CALL(unlinkat, directory, "file", -1);
	CALL(unlinkat, directory, "missing", 0);
	CALL(unlinkat, directory, "missing", AT_REMOVEDIR);
	CALL(unlinkat, -1, "file", 0);
	CALL(unlinkat, file, "file", 0);
	CALL(unlinkat, directory, "", 0);
	CALL(unlinkat, directory, "", AT_REMOVEDIR);
	CALL(unlinkat, directory, NULL, 0);
	CALL(unlinkat, directory, NULL, AT_REMOVEDIR);
	CALL(unlinkat, directory, "file", 0);
	CALL(unlinkat, directory, "file", 0);

	CALL(unlinkat, AT_FDCWD, "directory/.", AT_REMOVEDIR);
	CALL(unlinkat, AT_FDCWD, "directory/..", AT_REMOVEDIR);
	CALL(unlinkat, directory, ".", AT_REMOVEDIR);
	CALL(unlinkat, AT_FDCWD, "/", AT_REMOVEDIR);
	CALL(unlinkat, AT_FDCWD, "directory/", AT_REMOVEDIR);
	CALL(unlinkat, AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
