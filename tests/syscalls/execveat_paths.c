/* From where does execveat(2) find a program, and through which descriptor? */
#include "process.h"

static char *const arguments[] = { "again", NULL };

static void execute(const char *what, int fd, const char *path, int flags)
{
	pid_t child = spawn();

	if (!child) {
		show(what, syscall(SYS_execveat, fd, path, arguments, NULL, flags));
		_exit(127);
	}
	reap(what, child);
}

int main(int argc, char **argv)
{
	int directory, program, closed;
	const char *path = own_path();

	(void)argc;
	if (strcmp(argv[0], "again") == 0)
		return 6;
	enter_scratch("execveat_paths");
	program = open(path, O_RDONLY);
	closed = open(path, O_RDONLY | O_CLOEXEC);
	execute("absolute", AT_FDCWD, path, 0);
	execute("absolute, any descriptor", -5, path, 0);
	execute("by descriptor", program, "", AT_EMPTY_PATH);
	execute("by descriptor that will be closed", closed, "", AT_EMPTY_PATH);
	execute("empty path", program, "", 0);
	execute("empty path, no file", AT_FDCWD, "", AT_EMPTY_PATH);
	execute("no descriptor", 99, "", AT_EMPTY_PATH);
	execute("relative to nothing", 99, "program", 0);
	execute("relative to a file", program, "program", 0);
	execute("not there", AT_FDCWD, "none", 0);
	execute("unknown flag", AT_FDCWD, path, 0x8000);
	directory = open(".", O_RDONLY | O_DIRECTORY);
	execute("directory by descriptor", directory, "", AT_EMPTY_PATH);
	execute("not there, in a directory", directory, "none", 0);
	leave_scratch();
	return report_status();
}
