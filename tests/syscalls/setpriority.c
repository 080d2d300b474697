/* Whose nice value does setpriority(2) change, and to what? */
#include "report.h"
#include <sys/resource.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	static const long values[] = { 0, 1, 19, 20, 1000, -1, -20, -21, -1000, 0x100000005, 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		SHOW(values[i]);
		CALL(setpriority, PRIO_PROCESS, 0, values[i]);
		CALL(getpriority, PRIO_PROCESS, 0);
	}
	CALL(setpriority, PRIO_PROCESS, getpid(), 3L);
	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(setpriority, PRIO_PROCESS, 0, -7L);

	/* A group of our own, so that nobody else is changed. */
	setpgid(0, 0);
	CALL(setpriority, PRIO_PGRP, 0, 11L);
	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(setpriority, PRIO_PGRP, getpid(), 12L);
	CALL(getpriority, PRIO_PGRP, 0);

	CALL(setpriority, 3, 0, 0L);
	CALL(setpriority, -1, 0, 0L);
	CALL(setpriority, PRIO_PROCESS, NO_SUCH_PID, 0L);
	CALL(setpriority, PRIO_PROCESS, -1, 0L);
	CALL(setpriority, PRIO_PGRP, NO_SUCH_PID, 0L);
	CALL(setpriority, PRIO_USER, NO_SUCH_PID, 0L);
	CALL(setpriority, 3, NO_SUCH_PID, 0L);
	CALL(setpriority, PRIO_PROCESS, 0, 0L);
	return report_status();
}
