/* Has a program whose parent ignored SIGCHLD children that leave no zombies? */
#include "process.h"

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		child = spawn();
		if (!child)
			_exit(3);
		CALL(wait4, child, NULL, 0, NULL);
		set_action(SIGCHLD, SIG_DFL, 0);
		child = spawn();
		if (!child)
			_exit(4);
		reap("child", child);
		return 5;
	}
	child = spawn();
	if (!child) {
		set_action(SIGCHLD, SIG_IGN, 0);
		execve("/proc/self/exe", (char *[]){ "again", NULL }, NULL);
		_exit(127);
	}
	reap("program", child);
	return report_status();
}
