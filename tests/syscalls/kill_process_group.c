/* Which processes does a signal for a group reach? */
#include "process.h"

static volatile int *ready;

static pid_t member(pid_t group)
{
	pid_t child = spawn();

	if (!child) {
		__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
		for (;;)
			pause_ms(10000);
	}
	setpgid(child, group);
	return child;
}

int main(void)
{
	pid_t first[3], second[2], child;

	ready = share_pages(1);
	first[0] = member(0);
	first[1] = member(first[0]);
	first[2] = member(first[0]);
	second[0] = member(0);
	second[1] = member(second[0]);
	wait_for(ready, 5);
	CALL(kill, -first[0], 0);
	CALL(kill, -first[1], SIGTERM);
	CALL(kill, -0x7fffffff, SIGTERM);
	CALL(kill, -first[0], 65);
	CALL(kill, -first[0], -1);
	CALL(kill, -first[0], SIGTERM);
	for (int i = 0; i < 3; i++)
		reap("first", first[i]);
	CALL(kill, -first[0], SIGTERM);
	CALL(kill, second[0], 0);
	CALL(kill, second[1], 0);
	/* The leader goes, its group stays. */
	kill(second[0], SIGKILL);
	reap("leader of the second", second[0]);
	CALL(kill, -second[0], SIGHUP);
	reap("second", second[1]);

	/* Number 0 is the caller's own group, the caller included. */
	child = spawn();
	if (!child) {
		pid_t grandchild;

		setpgid(0, 0);
		*ready = 0;
		grandchild = spawn();
		if (!grandchild) {
			*ready = 1;
			for (;;)
				pause_ms(10000);
		}
		wait_for(ready, 1);
		set_action(SIGUSR1, SIG_IGN, 0);
		CALL(kill, 0, 0);
		CALL(kill, 0, SIGUSR1);
		reap("grandchild", grandchild);
		set_action(SIGUSR1, SIG_DFL, 0);
		kill(0, SIGUSR1);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
