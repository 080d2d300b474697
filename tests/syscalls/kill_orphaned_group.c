/* What happens to a stopped process when its group loses the last parent outside it? */
#include "process.h"

static volatile int *step;

/* Begin a session, with a shell's job in it that is stopped or not; end. */
static void session_leader(int stop)
{
	pid_t job[2];

	setsid();
	for (int i = 0; i < 2; i++) {
		job[i] = spawn();
		if (!job[i]) {
			if (stop && i == 0) {
				wait_for(step, 1);
				raise(SIGSTOP);
			}
			wait_for(step, 2);
			_exit(40 + i);
		}
		setpgid(job[i], job[0]);
		step[1 + i] = job[i];
	}
	if (stop) {
		*step = 1;
		await(job[0], WSTOPPED);
	}
	_exit(0);
}

static void show_orphans(const char *what, int stop)
{
	pid_t child;

	say("%s\n", what);
	*step = 0;
	child = spawn();
	if (!child)
		session_leader(stop);
	reap("leader", child);
	if (stop) {
		/* SIGHUP and SIGCONT go to all of the group. */
		reap("stopped", step[1]);
		reap("other", step[2]);
		return;
	}
	*step = 2;
	reap("first", step[1]);
	reap("second", step[2]);
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	/* We are in another session, so as a new parent we do not count. */
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	show_orphans("nobody stopped", 0);
	show_orphans("one stopped", 1);

	/* In an orphaned group the terminal's signals do not stop; SIGSTOP does. */
	child = spawn();
	if (!child) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTIN);
		raise(SIGTTOU);
		say("still there\n");
		raise(SIGSTOP);
		_exit(3);
	}
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	reap("session", child);
	return report_status();
}
