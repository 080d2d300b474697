/* What does getcwd(2) write, and what if there is no room or no directory any more? */
#include "report.h"

int main(void)
{
	char buffer[128] = "";

	chdir("/");
	CALL(getcwd, buffer, (long)sizeof(buffer));
	say("\"%s\"\n", buffer);
	chdir("/tmp");
	/* The value counts the NUL. */
	CALL(getcwd, buffer, (long)sizeof(buffer));
	say("\"%s\"\n", buffer);
	memset(buffer, '#', sizeof(buffer));
	CALL(getcwd, buffer, 5L);
	CHECK(buffer[4] == 0 && buffer[5] == '#');
	CALL(getcwd, buffer, 4L);
	CALL(getcwd, buffer, 1L);
	CALL(getcwd, buffer, 0L);
	CALL(getcwd, NULL, 0L);
	CALL(getcwd, NULL, 5L);
	CALL(getcwd, NULL, 4L);

	enter_scratch("getcwd");
	mkdir("directory", 0755);
	chdir("directory");
	CALL_OK(getcwd, buffer, (long)sizeof(buffer));
	CHECK(!strncmp(buffer, scratch_directory, strlen(scratch_directory)));
	CHECK(!strcmp(buffer + strlen(scratch_directory), "/directory"));
	chdir("./../directory/.");
	CALL_OK(getcwd, buffer, (long)sizeof(buffer));
	CHECK(!strcmp(buffer + strlen(scratch_directory), "/directory"));
	unlinkat(AT_FDCWD, "../directory", AT_REMOVEDIR);
	CALL(getcwd, buffer, (long)sizeof(buffer));
	chdir("..");
	CALL_OK(getcwd, buffer, (long)sizeof(buffer));
	leave_scratch();
	return report_status();
}
