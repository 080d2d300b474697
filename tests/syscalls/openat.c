/* From where does openat(2) start, and when does it not look at the directory descriptor? */
#include "report.h"

int main(void)
{
	int directory, file, path;

	enter_scratch("openat");
	mkdir("directory", 0755);
	directory = CALL_OK(openat, AT_FDCWD, "directory", O_RDONLY | O_DIRECTORY);
	file = CALL_OK(openat, directory, "file", O_RDWR | O_CREAT | O_EXCL, 0644);
	CALL(openat, directory, "file", O_RDWR | O_CREAT | O_EXCL, 0644);
	CALL_OK(openat, directory, "file", O_RDONLY);
	CALL_OK(openat, directory, "../directory/file", O_RDONLY);
	CALL_OK(openat, directory, ".", O_RDONLY);
	CALL_OK(openat, AT_FDCWD, "directory/file", O_RDONLY);
	CALL(openat, AT_FDCWD, "file", O_RDONLY);
	path = CALL_OK(openat, AT_FDCWD, "directory", O_PATH);
	CALL_OK(openat, path, "file", O_RDONLY);

	/* An absolute path does not need the descriptor. */
	CALL_OK(openat, directory, "/dev/null", O_RDONLY);
	CALL_OK(openat, -1, "/dev/null", O_RDONLY);
	CALL_OK(openat, file, "/dev/null", O_RDONLY);
	CALL(openat, -1, "file", O_RDONLY);
	CALL(openat, 9999, "file", O_RDONLY);
	CALL(openat, file, "file", O_RDONLY);
	CALL(openat, directory, "", O_RDONLY);
	CALL(openat, -1, "", O_RDONLY);
	CALL(openat, directory, NULL, O_RDONLY);
	CALL(openat, -1, NULL, O_RDONLY);

	/* A directory that was removed takes no new names. */
	unlinkat(directory, "file", 0);
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	CALL(openat, directory, "file", O_RDONLY);
	CALL(openat, directory, "file", O_RDWR | O_CREAT, 0644);
	CALL_OK(openat, directory, ".", O_RDONLY);
	CALL_OK(openat, directory, "..", O_RDONLY);
	leave_scratch();
	return report_status();
}
