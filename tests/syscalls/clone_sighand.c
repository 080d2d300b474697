/* Are dispositions shared with CLONE_SIGHAND, but neither mask nor pending signals? */
#include "process.h"

static int child_main(void *unused)
{
	(void)unused;
	set_action(SIGTERM, SIG_IGN, 0);
	set_action(SIGHUP, SIG_DFL, 0);
	block(SIGUSR1);
	raise(SIGUSR1);
	return is_pending(SIGUSR1);
}

static const char *disposition(int signal)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return action.sa_handler == SIG_IGN ? "ignored" : "default";
}

int main(void)
{
	set_action(SIGHUP, SIG_IGN, 0);
	reap("child", start(child_main, CLONE_VM | SIGCHLD, NULL));
	say("SIGTERM %s, SIGHUP %s\n", disposition(SIGTERM), disposition(SIGHUP));
	reap("child", start(child_main, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL));
	say("SIGTERM %s, SIGHUP %s\n", disposition(SIGTERM), disposition(SIGHUP));
	SHOW(is_blocked(SIGUSR1));
	SHOW(is_pending(SIGUSR1));
	return report_status();
}
