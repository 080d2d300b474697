/* What do the flags of faccessat2(2) change, and which does it refuse? */
#include "report.h"

int main(void)
{
	int directory, file;

	enter_scratch("faccessat2");
	mkdir("directory", 0755);
	file = make_file("directory/file", "");
	directory = open("directory", O_RDONLY);
	CALL(faccessat2, directory, "file", R_OK, 0);
	CALL(faccessat2, directory, "file", X_OK, 0);
	CALL(faccessat2, directory, "file", W_OK, AT_EACCESS);
	CALL(faccessat2, directory, "file", X_OK, AT_EACCESS);
	CALL(faccessat2, directory, "file", R_OK, AT_SYMLINK_NOFOLLOW);
	CALL(faccessat2, file, "", R_OK, AT_EMPTY_PATH);
	CALL(faccessat2, AT_FDCWD, "", X_OK, AT_EMPTY_PATH);
	CALL(faccessat2, file, "", R_OK, 0);
	CALL(faccessat2, -1, "", R_OK, AT_EMPTY_PATH);
	CALL(faccessat2, directory, "file", R_OK, AT_NO_AUTOMOUNT);
	CALL(faccessat2, directory, "file", R_OK, 1);
	CALL(faccessat2, directory, "file", 8, 0);
	CALL(faccessat2, directory, "missing", R_OK, 0);
	CALL(faccessat2, -1, "file", R_OK, 0);
	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
