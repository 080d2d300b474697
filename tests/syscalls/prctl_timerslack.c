/* Which timer slack is a child's default, to which 0 returns? */
#include "process.h"

int main(void)
{
	pid_t child;

	CALL(prctl, PR_GET_TIMERSLACK);
	CALL(prctl, PR_SET_TIMERSLACK, 70000L);
	CALL(prctl, PR_GET_TIMERSLACK);
	child = spawn();
	if (!child) {
		/* Its parent's at that time. */
		CALL(prctl, PR_GET_TIMERSLACK);
		CALL(prctl, PR_SET_TIMERSLACK, 80000L);
		CALL(prctl, PR_GET_TIMERSLACK);
		CALL(prctl, PR_SET_TIMERSLACK, 0L);
		CALL(prctl, PR_GET_TIMERSLACK);
		_exit(0);
	}
	reap("child", child);
	CALL(prctl, PR_SET_TIMERSLACK, 0L);
	CALL(prctl, PR_GET_TIMERSLACK);
	return report_status();
}
