/* Does WNOWAIT leave a child's change to be waited for again? */
#include "process.h"

static pid_t child;

static void show_info(const char *what, int options)
{
	siginfo_t info = {};
	long result = syscall(SYS_waitid, P_PID, child, &info, options | WNOHANG, NULL);

	if (result)
		show(what, result);
	else
		say("%s: %s, code %d status %d\n", what, info.si_pid == child ? "child" : "none",
		    info.si_code, info.si_status);
}

int main(void)
{
	volatile int *step = share_pages(1);

	child = spawn();
	if (!child) {
		raise(SIGSTOP);
		*step = 1;
		wait_for(step, 2);
		_exit(3);
	}
	await(child, WSTOPPED);
	show_info("look", WSTOPPED | WNOWAIT);
	show_info("look", WSTOPPED | WNOWAIT);
	show_info("take", WSTOPPED);
	show_info("take", WSTOPPED);
	kill(child, SIGCONT);
	wait_for(step, 1);
	show_info("look", WCONTINUED | WNOWAIT);
	show_info("take", WCONTINUED);
	show_info("take", WCONTINUED);
	*step = 2;
	await(child, WEXITED);
	show_info("look", WEXITED | WNOWAIT);
	show_info("look", WEXITED | WNOWAIT | WSTOPPED | WCONTINUED);
	/* A zombie is neither stopped nor does it go on. */
	show_info("wrong", WSTOPPED | WCONTINUED);
	show_info("take", WEXITED);
	show_info("take", WEXITED);
	return report_status();
}
