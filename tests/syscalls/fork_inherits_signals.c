/* Which of its parent's mask, dispositions and pending signals has a child? */
#include "process.h"

static void show_signals(const char *who)
{
	struct sigaction action;

	say("%s: SIGUSR1 blocked %d pending %d\n", who, is_blocked(SIGUSR1), is_pending(SIGUSR1));
	say("%s: SIGUSR2 blocked %d pending %d\n", who, is_blocked(SIGUSR2), is_pending(SIGUSR2));
	sigaction(SIGTERM, NULL, &action);
	say("%s: SIGTERM %s\n", who, action.sa_handler == SIG_IGN ? "ignored" : "default");
	sigaction(SIGHUP, NULL, &action);
	say("%s: SIGHUP %s\n", who, action.sa_handler == SIG_IGN ? "ignored" : "default");
}

int main(void)
{
	pid_t child;

	block(SIGUSR1);
	set_action(SIGTERM, SIG_IGN, 0);
	kill(getpid(), SIGUSR1);
	show_signals("parent at first");
	child = spawn();
	if (!child) {
		show_signals("child at first");
		set_action(SIGHUP, SIG_IGN, 0);
		set_action(SIGTERM, SIG_DFL, 0);
		block(SIGUSR2);
		unblock(SIGUSR1);
		show_signals("child");
		_exit(0);
	}
	reap("child", child);
	show_signals("parent");
	return report_status();
}
