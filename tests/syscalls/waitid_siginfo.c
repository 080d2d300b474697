/* What does waitid(2) tell of each change of a child? */
#include "process.h"

static pid_t child;

static void show_info(const char *what, int options)
{
	siginfo_t info;
	long result;

	memset(&info, -1, sizeof(info));
	result = syscall(SYS_waitid, P_PID, child, &info, options, NULL);
	say("%s: %ld, signo %d errno %d code %d status %d\n", what, result, info.si_signo,
	    info.si_errno, info.si_code, info.si_status);
	if (info.si_signo)
		CHECK(info.si_pid == child && info.si_uid == getuid());
	else
		CHECK(info.si_pid == 0 && info.si_uid == 0);
}

int main(void)
{
	volatile int *step = share_pages(1);

	child = spawn();
	if (!child) {
		raise(SIGSTOP);
		wait_for(step, 1);
		_exit(0x1234);
	}
	show_info("stopped", WSTOPPED);
	show_info("nothing", WSTOPPED | WNOHANG);
	kill(child, SIGCONT);
	show_info("continued", WCONTINUED);
	show_info("nothing", WCONTINUED | WEXITED | WSTOPPED | WNOHANG);
	*step = 1;
	show_info("exited", WEXITED);
	show_info("gone", WEXITED);
	child = spawn();
	if (!child)
		for (;;)
			pause_ms(10000);
	kill(child, SIGTERM);
	show_info("killed", WEXITED | WSTOPPED | WCONTINUED);
	child = spawn();
	if (!child) {
		without_core();
		abort();
	}
	show_info("aborted", WEXITED);
	child = spawn();
	if (!child)
		_exit(255);
	show_info("exited", WEXITED);
	return report_status();
}
