/* What does unlink(2) remove, and what remains of a file that is open? */
#include "report.h"

static char long_name[300];

int main(void)
{
	char buffer[8] = "";
	int fd, again;

	enter_scratch("unlink");
	fd = make_file("file", "content");
	CALL(unlink, "file");
	CALL(unlink, "file");
	CHECK(pread(fd, buffer, 7, 0) == 7);
	say("\"%s\"\n", buffer);
	/* The same name is another file now. */
	again = make_file("file", "other");
	CHECK(pwrite(fd, "CONTENT", 7, 0) == 7);
	show_content("file");
	close(fd);
	close(again);

	mkdir("directory", 0755);
	CALL(unlink, "directory");
	CALL(unlink, "directory/");
	CALL(unlink, ".");
	CALL(unlink, "..");
	CALL(unlink, "/");
	CALL(unlink, "file/");
	CALL(unlink, "file/below");
	CALL(unlink, "missing/file");
	CALL(unlink, "missing/");
	CALL(unlink, "");
	CALL(unlink, NULL);
	memset(long_name, 'n', 256);
	CALL(unlink, long_name);
	CALL(unlink, "directory/../file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
