/* What does each stop signal do if it is not handled, ignored, blocked or handled? */
#include "signals.h"

static volatile int *step;
static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };

static void show_stop(int signal, const char *how, int kind)
{
	int status;
	pid_t child;

	say("%s %s\n", signal_name(signal), how);
	*step = 0;
	child = spawn();
	if (!child) {
		setpgid(0, 0);
		if (kind == 1)
			set_action(signal, SIG_IGN, 0);
		if (kind == 2)
			block(signal);
		if (kind == 3)
			note_signal(signal, 0);
		*step = 1;
		while (*step == 1)
			pause_ms(1);
		if (kind == 2) {
			SHOW(is_pending(signal));
			*step = 3;
			unblock(signal);
		}
		show_notes("  child");
		_exit(0);
	}
	wait_for(step, 1);
	kill(child, signal);
	if (kind == 0 || (kind == 2 && signal == SIGSTOP)) {
		waitpid(child, &status, WUNTRACED);
		show_wait_status("  child", status);
		kill(child, SIGCONT);
		waitpid(child, &status, WCONTINUED);
		show_wait_status("  child", status);
		*step = 2;
	} else {
		pause_ms(3);
		SHOW(waitpid(child, &status, WUNTRACED | WNOHANG));
		*step = 2;
	}
	if (kind == 2 && signal != SIGSTOP) {
		wait_for(step, 3);
		waitpid(child, &status, WUNTRACED);
		show_wait_status("  child", status);
		kill(child, SIGCONT);
	}
	reap("  child", child);
}

int main(void)
{
	step = share_pages(1);
	for (unsigned i = 0; i < ARRAY_SIZE(stops); i++) {
		show_stop(stops[i], "default", 0);
		if (stops[i] == SIGSTOP)
			continue;
		show_stop(stops[i], "ignored", 1);
		show_stop(stops[i], "blocked", 2);
		show_stop(stops[i], "handled", 3);
	}
	return report_status();
}
