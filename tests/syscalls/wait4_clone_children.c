/* For which children does wait4(2) wait, if their end is not told by SIGCHLD? */
#include "process.h"

static int end(void *status)
{
	return (long)status;
}

static int give(int signal)
{
	int status;
	pid_t child = start(end, signal, (void *)(long)(signal + 1));

	/* The default action of the signal must not end us. */
	CHECK(waitpid(child, &status, __WALL) == child);
	return WEXITSTATUS(status);
}

int main(void)
{
	int status;
	pid_t silent, other, plain;

	set_action(SIGUSR1, SIG_IGN, 0);
	SHOW(give(0));
	SHOW(give(SIGUSR1));
	SHOW(give(SIGCHLD));

	silent = start(end, 0, (void *)1L);
	other = start(end, SIGUSR1, (void *)2L);
	plain = start(end, SIGCHLD, (void *)3L);
	await(silent, WEXITED);
	await(other, WEXITED);
	await(plain, WEXITED);
	/* Without options only those of SIGCHLD, with __WCLONE only the others. */
	CALL(wait4, silent, &status, 0, NULL);
	CALL(wait4, other, &status, WNOHANG, NULL);
	CALL(wait4, plain, &status, __WCLONE, NULL);
	CALL(waitid, P_PID, plain, NULL, WEXITED | __WCLONE, NULL);
	CHECK(syscall(SYS_wait4, -1, &status, 0, NULL) == plain);
	show_wait_status("plain", status);
	CALL(wait4, -1, &status, 0, NULL);
	CHECK(syscall(SYS_wait4, -1, &status, __WCLONE, NULL) == silent);
	show_wait_status("silent", status);
	CHECK(syscall(SYS_wait4, -1, &status, __WALL, NULL) == other);
	show_wait_status("other", status);
	CALL(wait4, -1, &status, __WALL, NULL);
	return report_status();
}
