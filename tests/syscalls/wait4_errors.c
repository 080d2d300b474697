/* Which arguments does wait4(2) refuse, and is the child still there then? */
#include "process.h"

int main(void)
{
	pid_t child = spawn();

	if (!child)
		_exit(9);
	await(child, WEXITED);
	CALL(wait4, child, NULL, WEXITED, NULL);
	CALL(wait4, child, NULL, WNOWAIT, NULL);
	CALL(wait4, child, NULL, 0x10, NULL);
	CALL(wait4, child, NULL, -1, NULL);
	CALL(wait4, (int)0x80000000, NULL, 0, NULL);
	CALL(wait4, (int)0x80000000, NULL, 0x10, NULL);
	reap("child", child);
	/* A status that cannot be stored is lost. */
	child = spawn();
	if (!child)
		_exit(9);
	CALL(wait4, child, (int *)8, 0, NULL);
	CALL(wait4, child, NULL, 0, NULL);
	child = spawn();
	if (!child)
		_exit(9);
	CALL(wait4, child, NULL, 0, (struct rusage *)8);
	CALL(wait4, child, NULL, 0, NULL);
	/* With nothing to store nothing is wrong. */
	child = spawn();
	if (!child) {
		pause_ms(5000);
		_exit(9);
	}
	CALL(wait4, child, (int *)8, WNOHANG, (struct rusage *)8);
	kill(child, SIGKILL);
	reap("child", child);
	CALL(wait4, child, (int *)8, WNOHANG, (struct rusage *)8);
	return report_status();
}
