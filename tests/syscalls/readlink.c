/* How does readlink(2) cut its answer, and what does it say of what is no link? */
#include "report.h"

int main(void)
{
	char buffer[4096] = "";
	long size;

	enter_scratch("readlink");
	close(make_file("file", ""));
	CALL(readlink, "file", buffer, (long)sizeof(buffer));
	CALL(readlink, ".", buffer, (long)sizeof(buffer));
	CALL(readlink, "/dev/null", buffer, (long)sizeof(buffer));
	CALL(readlink, "missing", buffer, (long)sizeof(buffer));
	CALL(readlink, "file/below", buffer, (long)sizeof(buffer));
	CALL(readlink, "file/", buffer, (long)sizeof(buffer));
	CALL(readlink, "", buffer, (long)sizeof(buffer));
	CALL(readlink, NULL, buffer, (long)sizeof(buffer));
	CALL(readlink, "file", buffer, 0L);
	CALL(readlink, "file", buffer, -1L);
	CALL(readlink, "file", NULL, 1L);

	/* The program's own name is absolute and is not terminated. */
	memset(buffer, '#', sizeof(buffer));
	size = CALL_OK(readlink, "/proc/self/exe", buffer, (long)sizeof(buffer));
	CHECK(size > 1 && buffer[0] == '/' && buffer[size] == '#');
	memset(buffer, '#', sizeof(buffer));
	CALL(readlink, "/proc/self/exe", buffer, 1L);
	CHECK(buffer[0] == '/' && buffer[1] == '#');
	CALL(readlink, "/proc/self/exe", NULL, 1L);
	CALL(readlink, "/proc/self/exe", buffer, 0L);

	unlink("file");
	leave_scratch();
	return report_status();
}
