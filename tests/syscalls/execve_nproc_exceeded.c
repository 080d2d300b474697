/* Is execve(2) refused to who has become a user with too many processes? */
#include "process.h"

#define USER 54321L

static void execute(const char *what, long user, rlim_t allowed, rlim_t later)
{
	struct rlimit limit = { allowed, 100 };
	pid_t child = spawn();

	if (!child) {
		setrlimit(RLIMIT_NPROC, &limit);
		show("setuid", syscall(SYS_setuid, user));
		limit.rlim_cur = later;
		setrlimit(RLIMIT_NPROC, &limit);
		show(what, execve("/proc/self/exe", (char *[]){ "again", NULL }, NULL));
		_exit(127);
	}
	reap(what, child);
}

int main(int argc, char **argv)
{
	pid_t other;

	if (argc == 1 && strcmp(argv[0], "again") == 0)
		return 3;
	execute("alone", USER, 0, 0);
	other = spawn();
	if (!other) {
		syscall(SYS_setuid, USER);
		raise(SIGSTOP);
		_exit(0);
	}
	await(other, WSTOPPED);
	execute("enough", USER, 2, 2);
	execute("too few", USER, 0, 0);
	execute("enough by now", USER, 0, 2);
	execute("too few by now", USER, 2, 0);
	execute("root", 0, 0, 0);
	kill(other, SIGKILL);
	reap("the other", other);
	return report_status();
}
