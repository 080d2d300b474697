/* Does a child leave a zombie for a parent that ignores SIGCHLD, if its signal is another? */
#include "process.h"

static int child_main(void *status)
{
	return (long)status;
}

int main(void)
{
	pid_t silent, other, plain;

	set_action(SIGCHLD, SIG_IGN, 0);
	set_action(SIGUSR1, SIG_IGN, 0);
	silent = start(child_main, 0, (void *)1L);
	other = start(child_main, SIGUSR1, (void *)2L);
	await(silent, WEXITED);
	await(other, WEXITED);
	reap("no signal", silent);
	reap("SIGUSR1, ignored", other);
	plain = start(child_main, SIGCHLD, (void *)3L);
	CALL(wait4, plain, NULL, 0, NULL);
	return report_status();
}
