/* Does execve(2) follow symbolic links, and until when? */
#include "process.h"

static char *const arguments[] = { "again", NULL };

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0)
		return 5;
	enter_scratch("execve_symlink");
	CALL(symlink, "loop", "loop");
	CALL(symlink, "nowhere", "dangling");
	CALL(symlink, "/proc/self/exe", "link");
	CALL(symlink, "link", "further");
	CALL(execve, "loop", arguments, NULL);
	CALL(execve, "loop/x", arguments, NULL);
	CALL(execve, "dangling", arguments, NULL);
	CALL(execveat, AT_FDCWD, "further", arguments, NULL, AT_SYMLINK_NOFOLLOW);
	child = spawn();
	if (!child) {
		CALL(execve, "further", arguments, NULL);
		_exit(127);
	}
	reap("child", child);
	unlink("loop");
	unlink("dangling");
	unlink("link");
	unlink("further");
	leave_scratch();
	return report_status();
}
