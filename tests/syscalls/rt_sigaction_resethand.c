/* What do SA_RESETHAND and SA_NODEFER change, alone and together? */
#include "signals.h"

static volatile int depth, deepest, runs;

static void handler(int signal)
{
	struct sigaction action;

	runs++;
	if (++depth > deepest)
		deepest = depth;
	sigaction(signal, NULL, &action);
	say("  run %d at depth %d: %s, blocked %d\n", runs, depth,
	    action.sa_handler == SIG_DFL ? "default" : "handled", is_blocked(signal));
	if (runs < 3 && action.sa_handler != SIG_DFL)
		kill(getpid(), signal);
	depth--;
}

static void show_flags(const char *what, int signal, int flags)
{
	pid_t child;

	say("%s\n", what);
	child = spawn();
	if (!child) {
		struct sigaction action;

		set_action(signal, handler, flags);
		kill(getpid(), signal);
		say("  %d runs, at most %d at a time\n", runs, deepest);
		sigaction(signal, NULL, &action);
		say("  flags %#x\n", action.sa_flags & ~0x04000000);
		kill(getpid(), signal);
		_exit(0);
	}
	reap("  child", child);
}

int main(void)
{
	show_flags("none", SIGUSR1, 0);
	show_flags("SA_NODEFER", SIGUSR1, SA_NODEFER);
	show_flags("SA_RESETHAND", SIGUSR1, SA_RESETHAND);
	show_flags("both", SIGUSR1, SA_RESETHAND | SA_NODEFER);
	show_flags("real-time, both", 50, SA_RESETHAND | SA_NODEFER);
	show_flags("SIGCONT, SA_RESETHAND", SIGCONT, SA_RESETHAND);
	show_flags("SIGTSTP, SA_NODEFER", SIGTSTP, SA_NODEFER);
	return report_status();
}
