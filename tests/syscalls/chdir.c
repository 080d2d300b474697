/* Where does chdir(2) lead, and which paths does it refuse? */
#include "report.h"

static char long_name[300];

int main(void)
{
	enter_scratch("chdir");
	mkdir("directory", 0755);
	close(make_file("file", ""));
	CALL(chdir, "directory");
	SHOW(access("../file", F_OK));
	SHOW(access("file", F_OK));
	CALL(chdir, "..");
	SHOW(access("file", F_OK));
	CALL(chdir, ".");
	CALL(chdir, "directory/");
	CALL(chdir, "../directory/..");
	SHOW(access("file", F_OK));

	CALL(chdir, "file");
	CALL(chdir, "file/");
	CALL(chdir, "missing");
	CALL(chdir, "");
	CALL(chdir, NULL);
	CALL(chdir, "/dev/null");
	memset(long_name, 'n', 256);
	CALL(chdir, long_name);
	/* A refused one leaves us where we were. */
	SHOW(access("file", F_OK));

	CALL(chdir, "/");
	CALL(chdir, "..");
	SHOW(access("tmp", F_OK));

	/* A directory that was removed under us takes no names, but still has a parent. */
	chdir(scratch_directory);
	chdir("directory");
	unlinkat(AT_FDCWD, "../directory", AT_REMOVEDIR);
	CALL(chdir, ".");
	SHOW(open("file", O_RDWR | O_CREAT, 0644));
	SHOW(mkdir("directory", 0755));
	CALL(chdir, "..");
	SHOW(unlink("file"));
	leave_scratch();
	return report_status();
}
