/* Which dispositions has a child of clone3(2) with CLONE_CLEAR_SIGHAND? */
#include "process.h"
#include <linux/sched.h>

int main(void)
{
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	pid_t child;

	set_action(SIGUSR1, SIG_IGN, 0);
	set_action(SIGUSR2, (void (*)(int))0x1234, 0);
	block(SIGTERM);
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (!child) {
		struct sigaction action;

		/* Handlers are gone, what was ignored is still, as over execve(2). */
		sigaction(SIGUSR1, NULL, &action);
		SHOW(action.sa_handler == SIG_IGN);
		sigaction(SIGUSR2, NULL, &action);
		SHOW(action.sa_handler == SIG_DFL);
		SHOW(is_blocked(SIGTERM));
		_exit(0);
	}
	reap("child", child);
	args.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM;
	CALL(clone3, &args, sizeof(args));
	return report_status();
}
