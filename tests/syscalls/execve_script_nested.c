/* How many scripts may be interpreted by scripts, and what does the last interpreter get? */
#include "process.h"

#define MOST 7

int main(int argc, char **argv)
{
	char *const arguments[] = { "name", "one", NULL };

	if (getenv("INTERPRETER")) {
		for (int i = 0; i < argc; i++)
			say("\targument %d: \"%s\"\n", i, argv[i]);
		return 0;
	}
	enter_scratch("execve_script_nested");
	make_executable("script1", "#!/proc/self/exe a1\n");
	for (int i = 2; i <= MOST; i++) {
		char name[16], content[64];

		snprintf(name, sizeof(name), "script%d", i);
		snprintf(content, sizeof(content), "#!script%d a%d\n", i - 1, i);
		make_executable(name, content);
	}
	for (int i = 1; i <= MOST; i++) {
		char name[16];
		pid_t child;

		snprintf(name, sizeof(name), "script%d", i);
		child = spawn();
		if (!child) {
			show(name, syscall(SYS_execve, name, arguments,
					   (char *[]){ "INTERPRETER=1", NULL }));
			_exit(127);
		}
		reap(name, child);
	}
	make_executable("itself", "#!itself\n");
	CALL(execve, "itself", arguments, NULL);
	for (int i = 1; i <= MOST; i++) {
		char name[16];

		snprintf(name, sizeof(name), "script%d", i);
		unlink(name);
	}
	unlink("itself");
	leave_scratch();
	return report_status();
}
