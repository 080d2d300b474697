/* How many children may a process have under RLIMIT_NPROC, if it is not root? */
#include "process.h"

#define LIMIT 20

static pid_t child[LIMIT];

/* Make children that stop, behind those that are there, until there can be no more. */
static int fork_all(int count)
{
	while (count < LIMIT) {
		pid_t made = syscall(SYS_fork);

		if (made < 0)
			break;
		if (!made) {
			raise(SIGSTOP);
			_exit(0);
		}
		waitpid(made, NULL, WUNTRACED);
		child[count++] = made;
	}
	return count;
}

static void run_as_user(int user)
{
	struct rlimit limit = { LIMIT, LIMIT };
	int count;

	if (setrlimit(RLIMIT_NPROC, &limit))
		die("set a limit");
	/* Root may have as many as before. */
	child[0] = spawn();
	if (!child[0])
		_exit(0);
	reap("child of root", child[0]);
	if (syscall(SYS_setuid, user))
		die("become another user");
	/* The caller is one of them. */
	count = fork_all(0);
	SHOW(count);
	CALL(fork);
	CALL(clone, SIGCHLD, NULL, NULL, NULL, NULL);
	/* A zombie is one until it is waited for. */
	kill(child[0], SIGKILL);
	await(child[0], WEXITED);
	CALL(fork);
	reap("first", child[0]);
	child[0] = child[--count];
	count = fork_all(count);
	SHOW(count);
	for (int i = 0; i < count; i++)
		kill(child[i], SIGKILL);
	for (int i = 0; i < count; i++)
		waitpid(child[i], NULL, 0);
	limit.rlim_cur = 1;
	CALL(setrlimit, RLIMIT_NPROC, &limit);
	CALL(fork);
}

int main(void)
{
	/* A user that nobody else is. */
	int user = 100000 + getpid();
	pid_t leader = spawn();

	if (!leader) {
		run_as_user(user);
		_exit(report_status());
	}
	reap("user", leader);
	return report_status();
}
