/* How many arguments has a program that was given none? */
#include "process.h"

static void execute(char *const *argv)
{
	pid_t child = spawn();

	if (!child) {
		CALL(execve, "/proc/self/exe", argv, (char *[]){ "AGAIN=1", NULL });
		_exit(127);
	}
	reap("child", child);
}

int main(int argc, char **argv)
{
	if (getenv("AGAIN")) {
		/* One, and that is empty. */
		SHOW(argc);
		say("\"%s\"\n", argv[0]);
		CHECK(argv[1] == NULL);
		return report_status();
	}
	execute((char *[]){ NULL });
	execute(NULL);
	return report_status();
}
