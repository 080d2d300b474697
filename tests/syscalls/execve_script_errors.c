/* Which scripts can execve(2) not execute? */
#include "process.h"

static char *const arguments[] = { "name", NULL };

static void execute(const char *what, const char *content)
{
	make_executable("script", content);
	show(what, syscall(SYS_execve, "./script", arguments, NULL));
}

int main(int argc, char **argv)
{
	static char line[600];
	pid_t child;

	/* An interpreter that is too long a line has cut this off. */
	if (argc > 1) {
		say("argument of %ld bytes\n", (long)strlen(argv[1]));
		return 0;
	}
	enter_scratch("execve_script_errors");
	execute("no interpreter there", "#!/nowhere/interpreter\n");
	execute("relative, not there", "#!interpreter argument\n");
	execute("carriage return", "#!/proc/self/exe\r\n");
	execute("nothing", "#!");
	execute("nothing on the line", "#!\n");
	execute("blanks only", "#!  \t \n");
	execute("directory", "#!/tmp\n");
	execute("device", "#!/dev/null\n");
	close(make_file("plain", "text\n"));
	execute("not executable", "#!plain\n");
	execute("below a file", "#!plain/interpreter\n");
	make_executable("garbage", "text\n");
	execute("no program", "#!garbage\n");

	/* A path that may go on behind the first 256 bytes is none. */
	memset(line, 'i', sizeof(line) - 1);
	memcpy(line, "#!", 2);
	execute("too long a path", line);
	/* An argument may: it is cut off. */
	memset(line, 'a', sizeof(line) - 1);
	memcpy(line, "#!/proc/self/exe ", 17);
	make_executable("script", line);
	child = spawn();
	if (!child) {
		CALL(execve, "./script", arguments, NULL);
		_exit(127);
	}
	reap("too long an argument", child);
	unlink("script");
	unlink("plain");
	unlink("garbage");
	leave_scratch();
	return report_status();
}
