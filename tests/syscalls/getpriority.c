/* What does getpriority(2) return, 20 - nice, and whom can one ask about? */
#include "report.h"
#include <sched.h>
#include <sys/resource.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct sched_param param = { .sched_priority = 4 };

	CALL(setpriority, PRIO_PROCESS, 0, 5L);
	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(getpriority, PRIO_PROCESS, getpid());
	CALL(getpriority, PRIO_PROCESS, gettid());

	/* A real-time task keeps its nice value. */
	CALL(sched_setscheduler, 0, SCHED_FIFO, &param);
	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(setpriority, PRIO_PROCESS, 0, 6L);
	CALL(getpriority, PRIO_PROCESS, 0);
	param.sched_priority = 0;
	CALL(sched_setscheduler, 0, SCHED_OTHER, &param);
	CALL(getpriority, PRIO_PROCESS, 0);

	CHECK(CALL_OK(getpriority, PRIO_USER, 0) >= 14);
	CHECK(CALL_OK(getpriority, PRIO_USER, getuid()) >= 14);
	CALL(getpriority, PRIO_USER, NO_SUCH_PID);
	CALL(getpriority, 3, 0);
	CALL(getpriority, -1, 0);
	CALL(getpriority, PRIO_PROCESS, NO_SUCH_PID);
	CALL(getpriority, PRIO_PROCESS, -1);
	CALL(getpriority, PRIO_PGRP, NO_SUCH_PID);
	CALL(setpriority, PRIO_PROCESS, 0, 0L);
	return report_status();
}
