/* Which processes may be moved to which process groups? */
#include "process.h"

static volatile int *step;

static pid_t idle_child(void)
{
	pid_t child = spawn();

	if (!child) {
		wait_for(step, 9);
		_exit(0);
	}
	return child;
}

int main(void)
{
	pid_t first, second, other, leader;
	pid_t own = getpgrp();

	step = share_pages(1);
	first = idle_child();
	second = idle_child();
	CHECK(getpgid(first) == own);
	/* A group of its own, named for it. */
	CALL(setpgid, first, 0);
	CHECK(getpgid(first) == first);
	CALL(setpgid, first, first);
	/* Into that group, and back into ours. */
	CALL(setpgid, second, first);
	CHECK(getpgid(second) == first);
	CALL(setpgid, second, getpgrp());
	CHECK(getpgid(second) == own);
	/* Not into one that is not there. */
	CALL(setpgid, second, 0x7fffffff);
	CALL(setpgid, second, second + 100000);
	CALL(setpgid, second, -1);
	CALL(setpgid, -1, 0);
	CALL(setpgid, -1, getpgrp());
	CALL(setpgid, 0x7fffffff, 0);
	/* Not its parent, and no stranger. */
	CALL(setpgid, getppid(), 0);
	CALL(setpgid, 1, 0);

	/* One in another session is out of reach, and so are groups there. */
	other = spawn();
	if (!other) {
		CHECK(setsid() == getpid());
		step[1] = 1;
		wait_for(step + 1, 2);
		/* The leader of a session has the group for good. */
		CALL(setpgid, 0, 0);
		CALL(setpgid, 0, getppid());
		_exit(report_status());
	}
	wait_for(step + 1, 1);
	CALL(setpgid, other, 0);
	CALL(setpgid, second, other);
	CALL(setpgid, other, getpgrp());

	/* The leader of a group may leave it; the others stay. */
	leader = idle_child();
	CALL(setpgid, leader, 0);
	CALL(setpgid, second, leader);
	CALL(setpgid, leader, own);
	CHECK(getpgid(leader) == own);
	CHECK(getpgid(second) == leader);
	/* Its number is still that of a group, so it may come back. */
	CALL(setpgid, leader, leader);
	CHECK(getpgid(leader) == leader);
	*step = 9;
	reap("first", first);
	reap("second", second);
	reap("leader", leader);
	step[1] = 2;
	reap("other", other);
	return report_status();
}
