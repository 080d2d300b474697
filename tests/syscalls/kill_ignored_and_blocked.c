/* What becomes of a signal that a child ignores or blocks? */
#include "process.h"

static volatile int *step;

static pid_t prepared(int signal, int how, int ignore)
{
	pid_t child;

	*step = 0;
	child = spawn();
	if (!child) {
		sigset_t set;

		without_core();
		if (ignore)
			set_action(signal, SIG_IGN, 0);
		sigemptyset(&set);
		sigaddset(&set, signal);
		sigprocmask(how, &set, NULL);
		*step = 1;
		wait_for(step, 2);
		say("%s: pending %d\n", signal_name(signal), is_pending(signal));
		unblock(signal);
		say("%s: still there\n", signal_name(signal));
		_exit(0);
	}
	wait_for(step, 1);
	return child;
}

static void show_end(const char *what, int signal, int how, int ignore)
{
	pid_t child = prepared(signal, how, ignore);

	say("%s\n", what);
	for (int i = 0; i < 3; i++)
		CALL(kill, child, signal);
	*step = 2;
	reap("child", child);
}

int main(void)
{
	step = share_pages(1);
	show_end("blocked", SIGTERM, SIG_BLOCK, 0);
	show_end("ignored", SIGTERM, SIG_UNBLOCK, 1);
	/* Kept while it is blocked, thrown away then. */
	show_end("blocked and ignored", SIGTERM, SIG_BLOCK, 1);
	show_end("blocked", SIGCHLD, SIG_BLOCK, 0);
	show_end("blocked", SIGQUIT, SIG_BLOCK, 0);
	show_end("blocked", 40, SIG_BLOCK, 0);
	return report_status();
}
