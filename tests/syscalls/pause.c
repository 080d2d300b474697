/* What ends pause(2), and what does not: a handler, but no signal that has none. */
#include "signals.h"

static volatile int *step;

static void sleeper(int flags)
{
	note_signal(SIGUSR1, flags);
	set_action(SIGUSR2, SIG_IGN, 0);
	*step = 1;
	CALL(pause);
	show_notes("after pause");
	_exit(nr_notes);
}

static void show_pause(const char *what, int flags, int stop)
{
	pid_t child;

	say("%s\n", what);
	*step = 0;
	child = spawn();
	if (!child)
		sleeper(flags);
	let_sleep(step, 1);
	kill(child, SIGUSR2);
	kill(child, SIGURG);
	if (stop) {
		kill(child, SIGSTOP);
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	}
	pause_ms(5);
	CALL(wait4, child, NULL, WNOHANG, NULL);
	kill(child, SIGUSR1);
	reap("child", child);
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	show_pause("plain", 0, 0);
	show_pause("SA_RESTART", SA_RESTART, 0);
	show_pause("stopped and continued", 0, 1);

	*step = 0;
	child = spawn();
	if (!child) {
		*step = 1;
		pause();
		_exit(1);
	}
	let_sleep(step, 1);
	kill(child, SIGTERM);
	reap("default action", child);
	return report_status();
}
