/* Do stop signals stop a process whose group is orphaned, and what wakes a stopped one? */
#include "signals.h"

static volatile int *step, *pids;

/* The last of a session that nobody outside could continue. */
static void orphan(void)
{
	note_signal(SIGHUP, 0);
	note_signal(SIGCONT, 0);
	pids[0] = getpid();
	*step = 1;
	for (int i = 0; *step != 3; i++)
		pause_ms(1);
	show_notes("orphan");
	_exit(0);
}

int main(void)
{
	int status;
	pid_t leader;

	step = share_pages(1);
	pids = step + 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	leader = spawn();
	if (!leader) {
		pid_t middle;

		setsid();
		middle = spawn();
		if (!middle) {
			setpgid(0, 0);
			middle = spawn();
			if (!middle)
				orphan();
			await(middle, WSTOPPED);
			pids[2] = 1;
			for (;;)
				pause();
		}
		wait_for(step, 1);
		pids[1] = middle;
		*step = 2;
		for (;;)
			pause();
	}
	wait_for(step, 2);
	/* The group of the middle one is not orphaned: its parent is in its session. */
	kill(pids[0], SIGTSTP);
	wait_for(&pids[2], 1);
	/* The leader ends: now it is, and has a stopped member, so all get SIGHUP, SIGCONT. */
	kill(leader, SIGKILL);
	reap("leader", leader);
	CHECK(waitpid(pids[1], &status, 0) == pids[1]);
	show_wait_status("middle", status);
	pause_ms(3);
	/* Keyboard stops do nothing to an orphaned group, SIGSTOP does. */
	kill(pids[0], SIGTSTP);
	kill(pids[0], SIGTTIN);
	kill(pids[0], SIGTTOU);
	pause_ms(3);
	SHOW(waitpid(pids[0], &status, WNOHANG | WUNTRACED));
	kill(pids[0], SIGSTOP);
	CHECK(waitpid(pids[0], &status, WUNTRACED) == pids[0]);
	show_wait_status("orphan", status);
	kill(pids[0], SIGCONT);
	pause_ms(3);
	*step = 3;
	reap("orphan", pids[0]);
	return report_status();
}
