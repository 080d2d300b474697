/* Who leaves no zombie: a child whose parent ignores SIGCHLD, or says SA_NOCLDWAIT? */
#include "signals.h"

static void show_children(const char *what)
{
	pid_t child = spawn();
	siginfo_t info = { 0 };

	say("%s\n", what);
	if (!child) {
		pause_ms(2);
		_exit(3);
	}
	/* It waits until all children are gone. */
	CALL(wait4, -1, NULL, 0, NULL);
	SHOW(kill(child, 0));
	child = spawn();
	if (!child)
		_exit(3);
	while (!kill(child, 0))
		pause_ms(1);
	CALL(waitid, P_ALL, 0, &info, WEXITED | WNOHANG, NULL);
	show_notes("handler");
}

int main(void)
{
	pid_t child;

	set_action(SIGCHLD, SIG_IGN, 0);
	show_children("SIG_IGN");
	set_action(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
	show_children("SIG_DFL, SA_NOCLDWAIT");
	note_signal(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
	show_children("a handler, SA_NOCLDWAIT");
	/* A zombie that is there already stays. */
	set_action(SIGCHLD, SIG_DFL, 0);
	child = spawn();
	if (!child)
		_exit(9);
	await(child, WEXITED);
	set_action(SIGCHLD, SIG_IGN, 0);
	reap("old zombie", child);
	return report_status();
}
