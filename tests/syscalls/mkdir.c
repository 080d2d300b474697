/* Which directories does mkdir(2) make, with which mode, and which does it refuse? */
#include "report.h"

static char long_name[300];

static void show_mode(const char *name, int mask, int mode)
{
	struct stat status;

	umask(mask);
	mkdir(name, mode);
	stat(name, &status);
	say("umask %03o, mode %05o -> %05o\n", mask, mode, status.st_mode & 07777);
	unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
	umask(022);
}

int main(void)
{
	enter_scratch("mkdir");
	CALL(mkdir, "directory", 0755);
	CALL(mkdir, "directory", 0755);
	CALL(mkdir, "directory/below", 0755);
	CALL(mkdir, "directory/slash/", 0755);
	CALL(mkdir, "directory//below/../more", 0755);
	show_mode("mode", 0, 0777);
	show_mode("mode", 022, 0777);
	show_mode("mode", 077, 01777);

	close(make_file("file", ""));
	CALL(mkdir, "file", 0755);
	CALL(mkdir, "file/", 0755);
	CALL(mkdir, "file/below", 0755);
	CALL(mkdir, "missing/below", 0755);
	CALL(mkdir, "missing/.", 0755);
	CALL(mkdir, "directory/.", 0755);
	CALL(mkdir, "directory/..", 0755);
	CALL(mkdir, ".", 0755);
	CALL(mkdir, "..", 0755);
	CALL(mkdir, "/", 0755);
	CALL(mkdir, "", 0755);
	CALL(mkdir, NULL, 0755);
	memset(long_name, 'n', 256);
	CALL(mkdir, long_name, 0755);

	unlink("file");
	SHOW(unlinkat(AT_FDCWD, "directory/below", AT_REMOVEDIR));
	SHOW(unlinkat(AT_FDCWD, "directory/slash", AT_REMOVEDIR));
	SHOW(unlinkat(AT_FDCWD, "directory/more", AT_REMOVEDIR));
	SHOW(unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR));
	leave_scratch();
	return report_status();
}
