/* From where does faccessat(2) start?  The call, unlike the library, has no flags. */
#include "report.h"

int main(void)
{
	int directory, file;

	enter_scratch("faccessat");
	mkdir("directory", 0755);
	file = make_file("directory/file", "");
	directory = open("directory", O_RDONLY);
	CALL(faccessat, directory, "file", F_OK);
	CALL(faccessat, directory, "file", R_OK | W_OK);
	CALL(faccessat, directory, "file", X_OK);
	CALL(faccessat, AT_FDCWD, "directory/file", F_OK);
	CALL(faccessat, AT_FDCWD, "file", F_OK);
	CALL(faccessat, -1, "/dev/null", F_OK);
	CALL(faccessat, -1, "file", F_OK);
	CALL(faccessat, file, "file", F_OK);
	CALL(faccessat, directory, "missing", F_OK);
	CALL(faccessat, directory, "", F_OK);
	CALL(faccessat, directory, NULL, F_OK);
	CALL(faccessat, directory, "file", 8);
	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
