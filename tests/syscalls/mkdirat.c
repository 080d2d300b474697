/* From where does mkdirat(2) start, and when does it not look at the directory descriptor? */
#include "report.h"

int main(void)
{
	int directory, file;

	enter_scratch("mkdirat");
	CALL(mkdirat, AT_FDCWD, "directory", 0755);
	directory = open("directory", O_RDONLY);
	file = make_file("file", "");
	CALL(mkdirat, directory, "below", 0755);
	CALL(mkdirat, directory, "below", 0755);
	SHOW(access("directory/below", F_OK));
	CALL(mkdirat, directory, "below/deeper", 0755);
	CALL(mkdirat, -1, "/tmp", 0755);
	CALL(mkdirat, -1, "below", 0755);
	CALL(mkdirat, file, "below", 0755);
	CALL(mkdirat, directory, "", 0755);
	CALL(mkdirat, directory, NULL, 0755);
	unlinkat(directory, "below/deeper", AT_REMOVEDIR);
	unlinkat(directory, "below", AT_REMOVEDIR);
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	CALL(mkdirat, directory, "below", 0755);
	unlink("file");
	leave_scratch();
	return report_status();
}
