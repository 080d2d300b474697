/* Which arguments does waitid(2) refuse? */
#include "process.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int main(void)
{
	siginfo_t info;
	pid_t child;

	CALL(waitid, P_ALL, 0, &info, WEXITED, NULL);
	child = spawn();
	if (!child)
		_exit(9);
	await(child, WEXITED);
	CALL(waitid, P_ALL, 0, &info, 0, NULL);
	CALL(waitid, P_ALL, 0, &info, WNOHANG, NULL);
	CALL(waitid, P_ALL, 0, &info, WNOWAIT, NULL);
	CALL(waitid, P_ALL, 0, &info, WEXITED | 0x10, NULL);
	CALL(waitid, P_ALL, 0, &info, -1, NULL);
	CALL(waitid, P_PID, 0, &info, WEXITED, NULL);
	CALL(waitid, P_PID, -1, &info, WEXITED, NULL);
	CALL(waitid, P_PID, getpid(), &info, WEXITED, NULL);
	CALL(waitid, P_PGID, -1, &info, WEXITED, NULL);
	CALL(waitid, P_PGID, 0x7fffffff, &info, WEXITED, NULL);
	CALL(waitid, P_PIDFD, -1, &info, WEXITED, NULL);
	CALL(waitid, P_PIDFD, 99, &info, WEXITED, NULL);
	CALL(waitid, 4, 0, &info, WEXITED, NULL);
	CALL(waitid, -1, 0, &info, WEXITED, NULL);
	/* It has been left. */
	reap("child", child);
	child = spawn();
	if (!child)
		_exit(9);
	await(child, WEXITED);
	CALL(waitid, P_ALL, 0, (void *)8, WEXITED, NULL);
	CALL(waitid, P_ALL, 0, &info, WEXITED, NULL);
	return report_status();
}
