/* Does a program get the arguments and the environment that execve(2) was given? */
#include "process.h"

extern char **environ;

static int show_arguments(int argc, char **argv)
{
	SHOW(argc);
	for (int i = 0; i < argc && i < 8; i++)
		say("argument %d: \"%s\"\n", i, argv[i]);
	CHECK(argv[argc] == NULL);
	for (int i = 0; environ[i]; i++)
		say("environment: \"%s\"\n", environ[i]);
	return report_status();
}

static void execute(char *const *argv, char *const *envp)
{
	pid_t child = spawn();

	if (!child) {
		CALL(execve, "/proc/self/exe", argv, envp);
		_exit(127);
	}
	reap("child", child);
}

int main(int argc, char **argv)
{
	static char *many[1002];

	if (strcmp(argv[0], "again") == 0)
		return show_arguments(argc, argv);
	execute((char *[]){ "again", NULL }, (char *[]){ NULL });
	execute((char *[]){ "again", "one", "", "three words here", "\xff\t", NULL },
		(char *[]){ "A=1", "", "no equals sign", "A=2", NULL });
	execute((char *[]){ "again", NULL }, NULL);
	for (int i = 0; i < 1001; i++)
		many[i] = "argument";
	many[0] = "again";
	execute(many, NULL);
	return report_status();
}
