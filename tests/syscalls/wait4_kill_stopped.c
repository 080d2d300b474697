/* Which signals reach a child that is stopped? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	int status;
	pid_t child = spawn();

	if (!child) {
		raise(SIGSTOP);
		_exit(0);
	}
	await(child, WSTOPPED);
	/* SIGTERM waits; SIGKILL does not. */
	kill(child, SIGTERM);
	pause_ms(5);
	CALL(wait4, child, &status, WNOHANG, NULL);
	kill(child, SIGKILL);
	reap("stopped, SIGTERM, SIGKILL", child);

	child = spawn();
	if (!child) {
		raise(SIGSTOP);
		_exit(0);
	}
	await(child, WSTOPPED);
	kill(child, SIGTERM);
	kill(child, SIGCONT);
	reap("stopped, SIGTERM, SIGCONT", child);

	/* A SIGSTOP that waits is taken back by SIGCONT, and a SIGCONT that waits by SIGSTOP. */
	child = spawn();
	if (!child) {
		block(SIGTSTP);
		set_action(SIGTSTP, SIG_DFL, 0);
		raise(SIGTSTP);
		SHOW(is_pending(SIGTSTP));
		raise(SIGCONT);
		SHOW(is_pending(SIGTSTP));
		block(SIGCONT);
		raise(SIGCONT);
		SHOW(is_pending(SIGCONT));
		raise(SIGTSTP);
		SHOW(is_pending(SIGCONT));
		SHOW(is_pending(SIGTSTP));
		raise(SIGCONT);
		unblock(SIGTSTP);
		_exit(1);
	}
	reap("stop and continue", child);

	/* Also a blocked and an ignored SIGCONT continues. */
	child = spawn();
	if (!child) {
		block(SIGCONT);
		set_action(SIGCONT, SIG_IGN, 0);
		raise(SIGSTOP);
		*step = 1;
		_exit(2);
	}
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	wait_for(step, 1);
	reap("SIGCONT blocked and ignored", child);
	return report_status();
}
