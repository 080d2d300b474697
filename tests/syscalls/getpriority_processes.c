/* Whose priority do getpriority(2) and setpriority(2) get and set? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child[2];

	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(getpriority, PRIO_PGRP, 0x7fffffff);
	CALL(getpriority, PRIO_PROCESS, 0x7fffffff);
	CALL(getpriority, 3, 0);
	CALL(getpriority, -1, 0);
	CALL(setpriority, 3, 0, 0);
	CALL(setpriority, PRIO_PROCESS, 0x7fffffff, 0);
	for (int i = 0; i < 2; i++) {
		child[i] = spawn();
		if (!child[i]) {
			wait_for(step, 1);
			_exit(0);
		}
		setpgid(child[i], child[0]);
	}
	CALL(setpriority, PRIO_PROCESS, child[0], 7);
	CALL(setpriority, PRIO_PROCESS, child[1], 3);
	CALL(getpriority, PRIO_PROCESS, child[0]);
	CALL(getpriority, PRIO_PROCESS, child[1]);
	/* Of a group: the highest, that is the least nice. */
	CALL(getpriority, PRIO_PGRP, child[0]);
	CALL(setpriority, PRIO_PGRP, child[0], 12);
	CALL(getpriority, PRIO_PROCESS, child[0]);
	CALL(getpriority, PRIO_PROCESS, child[1]);
	/* Out of range is the nearest. */
	CALL(setpriority, PRIO_PROCESS, child[0], 100);
	CALL(getpriority, PRIO_PROCESS, child[0]);
	CALL(setpriority, PRIO_PROCESS, child[0], -100);
	CALL(getpriority, PRIO_PROCESS, child[0]);
	CALL(getpriority, PRIO_PROCESS, 0);
	*step = 1;
	reap("first", child[0]);
	reap("second", child[1]);
	CALL(getpriority, PRIO_PROCESS, child[0]);
	return report_status();
}
