/* Which children does wait4(2) take for 0 and for the negative of a process group? */
#include "process.h"

static pid_t in_group(pid_t group, int status)
{
	pid_t child = spawn();

	if (!child)
		_exit(status);
	/* Also of a zombie, for it has not made another program of itself. */
	if (setpgid(child, group < 0 ? child : group))
		die("set a process group");
	return child;
}

int main(void)
{
	int status;
	pid_t own = in_group(getpgrp(), 1);
	pid_t leader = in_group(-1, 2);
	pid_t member = in_group(leader, 3);
	pid_t alone = in_group(-1, 4);

	CHECK(syscall(SYS_wait4, -alone, &status, 0, NULL) == alone);
	show_wait_status("alone", status);
	CALL(wait4, -alone, &status, 0, NULL);
	CHECK(syscall(SYS_wait4, 0, &status, 0, NULL) == own);
	show_wait_status("own", status);
	CALL(wait4, 0, &status, 0, NULL);
	CALL(wait4, -own, &status, 0, NULL);
	CALL(wait4, -member, &status, 0, NULL);
	await(leader, WEXITED);
	await(member, WEXITED);
	CHECK(syscall(SYS_wait4, -leader, &status, 0, NULL) == leader);
	show_wait_status("leader", status);
	/* The group is still there although its leader is not. */
	CHECK(syscall(SYS_wait4, -leader, &status, 0, NULL) == member);
	show_wait_status("member", status);
	CALL(wait4, -leader, &status, 0, NULL);
	CALL(wait4, -1, &status, 0, NULL);
	return report_status();
}
