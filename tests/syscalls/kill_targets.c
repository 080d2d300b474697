/* Whom does kill(2) reach by 0, by a group's number, and by a number that is nobody's? */
#include "signals.h"

static volatile int *got;

static void count(int signal)
{
	(void)signal;
	__sync_fetch_and_add(&got[getpgrp() == got[8]], 1);
}

/* A child of a group that waits, blocks what counts until then. */
static pid_t waiter(pid_t group)
{
	pid_t child = spawn();

	if (!child) {
		setpgid(0, group);
		set_action(SIGUSR1, count, 0);
		__sync_fetch_and_add(&got[4], 1);
		for (;;)
			pause();
	}
	return child;
}

int main(void)
{
	pid_t children[5], leader;

	got = share_pages(1);
	setpgid(0, 0);
	got[8] = getpgrp();
	set_action(SIGUSR1, count, 0);
	children[0] = waiter(getpid());
	children[1] = waiter(getpid());
	leader = children[2] = waiter(0);
	wait_for(&got[4], 3);
	children[3] = waiter(leader);
	children[4] = waiter(leader);
	wait_for(&got[4], 5);
	CALL(kill, 0, SIGUSR1);
	wait_for(&got[1], 3);
	pause_ms(3);
	say("group: %d, other group %d\n", got[1], got[0]);
	SHOW(kill(-leader, SIGUSR1));
	wait_for(&got[0], 3);
	pause_ms(3);
	say("group: %d, other group %d\n", got[1], got[0]);
	SHOW(kill(-leader, 0));
	/* A group is there while one of it is, even a zombie. */
	kill(leader, SIGKILL);
	kill(children[3], SIGKILL);
	kill(children[4], SIGKILL);
	for (int i = 2; i < 5; i++)
		await(children[i], WEXITED);
	SHOW(kill(-leader, SIGUSR1));
	for (int i = 2; i < 5; i++)
		reap("child", children[i]);
	SHOW(kill(-leader, SIGUSR1));
	SHOW(kill(leader, SIGUSR1));
	CALL(kill, 0, 65);
	CALL(kill, 0, 0);
	CALL(kill, 0x80000000, 0);
	CALL(kill, 0x7fffffff, 0);
	for (int i = 0; i < 2; i++) {
		kill(children[i], SIGKILL);
		reap("child", children[i]);
	}
	return report_status();
}
