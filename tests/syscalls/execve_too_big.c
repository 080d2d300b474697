/* How long may a string, and how large may all strings be that execve(2) is given? */
#include "process.h"

#define MAX_STRING 131072L /* with the NUL */

static char *string_of(long size)
{
	char *string = map_pages(size / PAGE + 1);

	memset(string, 'x', size - 1);
	return string;
}

static void execute(const char *what, char *const *argv, char *const *envp, long stack)
{
	struct rlimit limit;
	pid_t child = spawn();

	if (!child) {
		getrlimit(RLIMIT_STACK, &limit);
		limit.rlim_cur = stack;
		setrlimit(RLIMIT_STACK, &limit);
		show(what, syscall(SYS_execve, "/proc/self/exe", argv, envp));
		_exit(127);
	}
	reap(what, child);
}

int main(int argc, char **argv)
{
	char *longest = string_of(MAX_STRING), *longer = string_of(MAX_STRING + 1);
	char *many[64] = { "again" };

	if (strcmp(argv[0], "again") == 0) {
		long total = 0;

		for (int i = 0; i < argc; i++)
			total += strlen(argv[i]) + 1;
		say("%d arguments of %ld bytes\n", argc, total);
		return 0;
	}
	execute("longest string", (char *[]){ "again", longest, NULL }, NULL, 8 << 20);
	execute("longer string", (char *[]){ "again", longer, NULL }, NULL, 8 << 20);
	execute("longer in the environment", (char *[]){ "again", NULL },
		(char *[]){ longer, NULL }, 8 << 20);
	/* A quarter of the stack's limit, but not less than 128 KiB and not more than 6 MiB. */
	for (int i = 1; i < 8; i++)
		many[i] = longest;
	execute("7 of 8", many, NULL, 4 << 20);
	many[8] = longest;
	execute("8 of 8", many, NULL, 4 << 20);
	for (int i = 1; i < 16; i++)
		many[i] = longest;
	execute("15 of 16, argument and environment", (char *[]){ "again", longest, NULL },
		many + 1, 8 << 20);
	many[16] = longest;
	execute("16 of 16", many, NULL, 8 << 20);
	many[1] = string_of(120000);
	many[2] = NULL;
	execute("least", many, NULL, 256 << 10);
	many[2] = longest;
	many[3] = NULL;
	execute("more than the least", many, NULL, 256 << 10);
	many[2] = NULL;
	execute("more than the stack", many, NULL, 64 << 10);
	for (int i = 1; i < 48; i++)
		many[i] = longest;
	execute("47 of 48", many, NULL, 40 << 20);
	many[48] = longest;
	execute("48 of 48", many, NULL, 40 << 20);
	return report_status();
}
