/* May a child be moved to another process group once it has executed a program? */
#include "process.h"

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		raise(SIGSTOP);
		/* By itself, yes. */
		CALL(setpgid, 0, 0);
		CHECK(getpgrp() == getpid());
		/* And its own child. */
		child = spawn();
		if (!child) {
			raise(SIGSTOP);
			return 0;
		}
		await(child, WSTOPPED);
		CALL(setpgid, child, 0);
		kill(child, SIGKILL);
		reap("grandchild", child);
		return report_status();
	}
	child = spawn();
	if (!child) {
		raise(SIGSTOP);
		execve("/proc/self/exe", (char *[]){ "again", NULL }, NULL);
		_exit(127);
	}
	CHECK(waitpid(child, NULL, WUNTRACED) == child);
	CALL(setpgid, child, 0);
	CALL(setpgid, child, getpgrp());
	kill(child, SIGCONT);
	CHECK(waitpid(child, NULL, WUNTRACED) == child);
	CALL(setpgid, child, 0);
	CALL(setpgid, child, getpgrp());
	CHECK(getpgid(child) == getpgrp());
	kill(child, SIGCONT);
	reap("child", child);
	return report_status();
}
