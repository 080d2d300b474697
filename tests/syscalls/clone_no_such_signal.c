/* What becomes of a child whose end is to be told by a signal that there is not? */
#include "process.h"

static int child_main(void *unused)
{
	(void)unused;
	return 3;
}

static void show_end(int signal)
{
	sigset_t all, pending;
	pid_t child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	child = clone(child_main, new_stack(), signal, NULL);
	if (child < 0) {
		show("clone", child);
		return;
	}
	await(child, WEXITED);
	CALL(wait4, child, NULL, WNOHANG, NULL);
	reap("child", child);
	sigpending(&pending);
	SHOW(sigisemptyset(&pending));
}

int main(void)
{
	show_end(65);
	show_end(100);
	show_end(255);
	return report_status();
}
