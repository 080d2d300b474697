/* What does a script's interpreter get as its arguments? */
#include "process.h"

static void execute(const char *what, const char *content, char *const *argv)
{
	pid_t child;

	make_executable("script", content);
	say("%s\n", what);
	child = spawn();
	if (!child) {
		CALL(execve, "./script", argv, (char *[]){ "INTERPRETER=1", NULL });
		_exit(127);
	}
	reap("child", child);
}

int main(int argc, char **argv)
{
	char *const plain[] = { "script's name", "one", "two", NULL };

	if (getenv("INTERPRETER")) {
		char name[16];

		for (int i = 0; i < argc; i++)
			say("\targument %d: \"%s\"\n", i, argv[i]);
		prctl(PR_GET_NAME, name);
		say("\tname %s\n", name);
		return report_status();
	}
	enter_scratch("execve_script");
	execute("plain", "#!/proc/self/exe\n", plain);
	execute("argument", "#!/proc/self/exe argument\nmore\n", plain);
	execute("argument with blanks", "#!/proc/self/exe several words\t here  \n", plain);
	execute("blanks before", "#! \t /proc/self/exe \t argument\n", plain);
	execute("blanks behind", "#!/proc/self/exe   \n", plain);
	execute("carriage return", "#!/proc/self/exe argument\r\n", plain);
	execute("no end of line", "#!/proc/self/exe", plain);
	execute("no end of line, argument", "#!/proc/self/exe argument", plain);
	execute("no arguments", "#!/proc/self/exe\n", (char *[]){ NULL });
	execute("no vector", "#!/proc/self/exe argument\n", NULL);
	unlink("script");
	leave_scratch();
	return report_status();
}
