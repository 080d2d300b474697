/* What may the superuser do with a file, as access(2) has it? */
#include "report.h"

static char long_name[300];

int main(void)
{
	enter_scratch("access");
	close(make_file("file", ""));
	close(open("program", O_WRONLY | O_CREAT, 0755));
	close(open("closed", O_WRONLY | O_CREAT, 0));
	mkdir("directory", 0700);
	CALL(access, "file", F_OK);
	CALL(access, "file", R_OK | W_OK);
	/* Execution needs a bit in the mode, whoever asks. */
	CALL(access, "file", X_OK);
	CALL(access, "file", R_OK | W_OK | X_OK);
	CALL(access, "program", X_OK);
	CALL(access, "program", R_OK | W_OK | X_OK);
	CALL(access, "closed", R_OK | W_OK);
	CALL(access, "closed", X_OK);
	CALL(access, "directory", R_OK | W_OK | X_OK);
	CALL(access, "directory/", F_OK);
	CALL(access, "/dev/null", R_OK | W_OK);
	CALL(access, "/dev/null", X_OK);
	CALL(access, "/", F_OK);

	CALL(access, "file", 8);
	CALL(access, "file", -1);
	CALL(access, "missing", F_OK);
	CALL(access, "missing", 8);
	CALL(access, "file/below", F_OK);
	CALL(access, "file/", F_OK);
	CALL(access, "", F_OK);
	CALL(access, NULL, F_OK);
	memset(long_name, 'n', 256);
	CALL(access, long_name, F_OK);

	unlink("file");
	unlink("program");
	unlink("closed");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
