/* How does truncate(2) shorten and lengthen a file, and which paths does it refuse? */
#include "report.h"

static char long_name[300];

int main(void)
{
	enter_scratch("truncate");
	close(make_file("file", "0123456789"));
	CALL(truncate, "file", 4L);
	show_content("file");
	/* What comes back is zeros, not the old bytes. */
	CALL(truncate, "file", 8L);
	show_content("file");
	CALL(truncate, "file", 8L);
	CALL(truncate, "file", 0L);
	show_content("file");

	CALL(truncate, "file", -1L);
	CALL(truncate, ".", 0L);
	CALL(truncate, "/dev/null", 0L);
	CALL(truncate, "missing", 0L);
	CALL(truncate, "missing", -1L);
	CALL(truncate, "file/", 0L);
	CALL(truncate, "file/below", 0L);
	CALL(truncate, "", 0L);
	CALL(truncate, NULL, 0L);
	memset(long_name, 'n', 256);
	CALL(truncate, long_name, 0L);
	unlink("file");
	leave_scratch();
	return report_status();
}
