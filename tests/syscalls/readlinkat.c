/* From where does readlinkat(2) start, and what does an empty path mean? */
#include "report.h"

int main(void)
{
	char buffer[64];
	int directory, file;

	enter_scratch("readlinkat");
	mkdir("directory", 0755);
	file = make_file("directory/file", "");
	directory = open("directory", O_RDONLY);
	CALL(readlinkat, directory, "file", buffer, (long)sizeof(buffer));
	CALL(readlinkat, AT_FDCWD, "file", buffer, (long)sizeof(buffer));
	CALL(readlinkat, AT_FDCWD, "directory/file", buffer, (long)sizeof(buffer));
	CALL(readlinkat, -1, "/dev/null", buffer, (long)sizeof(buffer));
	CALL(readlinkat, -1, "file", buffer, (long)sizeof(buffer));
	CALL(readlinkat, file, "file", buffer, (long)sizeof(buffer));
	/* An empty path means the descriptor, which is no link. */
	CALL(readlinkat, directory, "", buffer, (long)sizeof(buffer));
	CALL(readlinkat, file, "", buffer, (long)sizeof(buffer));
	CALL(readlinkat, directory, NULL, buffer, (long)sizeof(buffer));
	CALL(readlinkat, directory, "file", buffer, 0L);
	CALL_OK(readlinkat, -1, "/proc/self/exe", buffer, 1L);
	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
