/* Does a signal end a wait, with and without SA_RESTART, by a handler or without one? */
#include "signals.h"

static volatile int *step;

static void show_wait(const char *what, int flags, int id)
{
	pid_t child = spawn();

	say("%s, %s\n", what, flags & SA_RESTART ? "SA_RESTART" : "no flag");
	if (!child) {
		pid_t grandchild = spawn();
		siginfo_t info = { 0 };
		int status = -1;

		if (!grandchild) {
			wait_for(step, 2);
			_exit(7);
		}
		note_signal(SIGUSR1, flags);
		set_action(SIGUSR2, SIG_IGN, 0);
		*step = 1;
		if (id)
			CALL(waitid, P_PID, grandchild, &info, WEXITED, NULL);
		else
			CALL_OK(wait4, grandchild, &status, 0, NULL);
		show_notes("after it");
		say("status %#x %d\n", status, info.si_status);
		*step = 2;
		wait(NULL);
		_exit(0);
	}
	let_sleep(step, 1);
	kill(child, SIGUSR2);
	kill(child, SIGURG);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	kill(child, SIGUSR1);
	if (flags & SA_RESTART)
		pause_ms(5);
	else
		wait_for(step, 2); /* it has returned, and says so to the grandchild */
	*step = 2;
	reap("child", child);
	*step = 0;
}

int main(void)
{
	step = share_pages(1);
	show_wait("wait4", 0, 0);
	show_wait("wait4", SA_RESTART, 0);
	show_wait("waitid", 0, 1);
	show_wait("waitid", SA_RESTART, 1);
	return report_status();
}
