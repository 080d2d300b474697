/* Which dispositions, mask and pending signals has a program that was executed? */
#include "process.h"

static const char *disposition(int signal)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return action.sa_handler == SIG_DFL ? "default" : action.sa_handler == SIG_IGN ?
						     "ignored" : "handled";
}

static void show_signals(const char *who)
{
	static const int signal[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, 40 };

	for (unsigned i = 0; i < ARRAY_SIZE(signal); i++)
		say("%s: %s %s, blocked %d, pending %d\n", who, signal_name(signal[i]),
		    disposition(signal[i]), is_blocked(signal[i]), is_pending(signal[i]));
}

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		struct sigaction action;

		show_signals("program");
		/* Of a handler nothing is left. */
		sigaction(SIGUSR2, NULL, &action);
		SHOW(action.sa_flags);
		SHOW(sigismember(&action.sa_mask, SIGINT));
		unblock(SIGUSR1);
		return 0;
	}
	child = spawn();
	if (!child) {
		struct sigaction action = { .sa_handler = (void (*)(int))0x1234,
					    .sa_flags = SA_RESTART | SA_NODEFER };

		sigaddset(&action.sa_mask, SIGINT);
		set_action(SIGHUP, SIG_IGN, 0);
		set_action(SIGCHLD, SIG_IGN, 0);
		sigaction(SIGUSR2, &action, NULL);
		sigaction(40, &action, NULL);
		block(SIGUSR1);
		block(SIGUSR2);
		block(40);
		raise(SIGUSR1);
		raise(40);
		show_signals("child");
		CALL(execve, "/proc/self/exe", ((char *[]){ "again", NULL }), NULL);
		_exit(127);
	}
	/* It dies of the signal that was sent to the program before. */
	reap("child", child);
	return report_status();
}
