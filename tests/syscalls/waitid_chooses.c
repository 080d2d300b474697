/* Which children does waitid(2) take for each kind of number? */
#include "process.h"

static pid_t child[4];

static void show_found(const char *what, int kind, pid_t number)
{
	siginfo_t info = {};
	long result = syscall(SYS_waitid, kind, number, &info, WEXITED | WNOHANG, NULL);

	if (result)
		show(what, result);
	else if (!info.si_pid)
		say("%s: none\n", what);
	for (unsigned i = 0; i < ARRAY_SIZE(child); i++)
		if (!result && info.si_pid == child[i])
			say("%s: child %d with %d\n", what, i, info.si_status);
}

int main(void)
{
	volatile int *step = share_pages(1);
	static const int group[] = { -1, 1, 1, -1 };

	for (unsigned i = 0; i < ARRAY_SIZE(child); i++) {
		child[i] = spawn();
		if (!child[i]) {
			wait_for(step, 1);
			_exit(20 + i);
		}
		if (group[i] > 0)
			setpgid(child[i], child[group[i]]);
	}
	show_found("living", P_ALL, 0);
	show_found("living", P_PID, child[0]);
	*step = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(child); i++)
		await(child[i], WEXITED);
	show_found("by number", P_PID, child[3]);
	show_found("by group", P_PGID, child[1]);
	show_found("by the same", P_PGID, child[1]);
	show_found("by the same", P_PGID, child[1]);
	show_found("by our group", P_PGID, 0);
	show_found("by our group", P_PGID, getpgrp());
	show_found("any", P_ALL, 0);
	show_found("by number", P_PID, child[3]);
	return report_status();
}
