/* Does a child get the signal that it has asked for when its parent ends? */
#include "process.h"

static volatile int *step;

static siginfo_t seen;

static void see(int signal, siginfo_t *info, void *context)
{
	seen = *info;
}

/* A child that asks for a signal, and whose parent ends; what becomes of it? */
static void show_child(const char *what, int signal, int sender)
{
	pid_t child;

	step[0] = step[1] = 0;
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			pid_t parent = getppid();

			if (prctl(PR_SET_PDEATHSIG, signal))
				die("ask for a signal");
			if (sender)
				block(signal);
			*step = 1;
			if (sender) {
				struct sigaction action = { .sa_sigaction = see, .sa_flags = SA_SIGINFO };

				while (getppid() == parent)
					pause_ms(1);
				wait_for(step, 2);
				CHECK(is_pending(signal));
				sigaction(signal, &action, NULL);
				unblock(signal);
				SHOW(seen.si_signo == signal);
				SHOW(seen.si_code);
				SHOW(seen.si_pid == parent);
				SHOW(seen.si_uid);
				_exit(7);
			}
			wait_for(step, 2);
			_exit(9);
		}
		step[1] = grandchild;
		wait_for(step, 1);
		_exit(0);
	}
	reap("parent", child);
	if (!signal || signal == SIGCHLD || sender)
		*step = 2;
	reap(what, step[1]);
}

int main(void)
{
	int asked = -1;
	pid_t child;

	step = share_pages(1);
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	show_child("SIGTERM", SIGTERM, 0);
	show_child("SIGKILL", SIGKILL, 0);
	show_child("none", 0, 0);
	show_child("SIGCHLD, which does nothing", SIGCHLD, 0);
	show_child("SIGUSR1, blocked", SIGUSR1, 1);

	/* Asked for by the parent, it is not the child's. */
	CALL(prctl, PR_SET_PDEATHSIG, SIGUSR1);
	child = spawn();
	if (!child) {
		CALL(prctl, PR_GET_PDEATHSIG, &asked);
		SHOW(asked);
		_exit(0);
	}
	reap("child", child);
	CALL(prctl, PR_GET_PDEATHSIG, &asked);
	SHOW(asked);
	CALL(prctl, PR_SET_PDEATHSIG, 65L);
	CALL(prctl, PR_SET_PDEATHSIG, -1L);
	CALL(prctl, PR_GET_PDEATHSIG, (int *)8);
	CALL(prctl, PR_SET_PDEATHSIG, 64L);
	CALL(prctl, PR_SET_PDEATHSIG, 0L);
	return report_status();
}
