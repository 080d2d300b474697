/* Which signal does a parent get at the end of a child that was cloned for it? */
#include "process.h"

static int child_main(void *unused)
{
	(void)unused;
	return 0;
}

/* The signals that are pending when a child of that signal has ended. */
static void show_pending(int signal)
{
	sigset_t all, none;
	pid_t child;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	child = start(child_main, signal, NULL);
	await(child, WEXITED);
	for (int i = 1; i <= SIGRTMAX; i++)
		if (is_pending(i))
			say("%d: %s is pending\n", signal, signal_name(i));
	reap("child", child);
	/* Those that are pending are thrown away where they are ignored. */
	if (signal) {
		set_action(signal, SIG_IGN, 0);
		set_action(signal, SIG_DFL, 0);
	}
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(void)
{
	pid_t child;

	show_pending(0);
	show_pending(SIGCHLD);
	show_pending(SIGUSR1);
	show_pending(SIGURG);
	show_pending(40);
	/* Unblocked, its default action is taken. */
	child = spawn();
	if (!child) {
		start(child_main, SIGUSR2, NULL);
		for (;;)
			pause_ms(10000);
	}
	reap("parent of a SIGUSR2 child", child);
	return report_status();
}
