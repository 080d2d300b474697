/* Which priority does sched_setparam(2) take under which policy? */
#include "report.h"
#include <sched.h>
#include <sys/resource.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	static const int policies[] = { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE };
	static const int priorities[] = { 1, 0, 99, 50, 100, -1 };
	struct sched_param param;

	CALL(setpriority, PRIO_PROCESS, 0, 4L);
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		SHOW(policies[i]);
		param.sched_priority = policies[i] == SCHED_FIFO || policies[i] == SCHED_RR;
		CALL(sched_setscheduler, 0, policies[i], &param);
		for (unsigned j = 0; j < ARRAY_SIZE(priorities); j++) {
			param.sched_priority = priorities[j];
			SHOW(priorities[j]);
			CALL(sched_setparam, 0, &param);
			CALL(sched_getparam, 0, &param);
			SHOW(param.sched_priority);
		}
		CALL(sched_getscheduler, 0);
		CALL(getpriority, PRIO_PROCESS, 0);
	}
	param.sched_priority = 0;
	CALL(sched_setscheduler, 0, SCHED_OTHER, &param);
	CALL(sched_setparam, getpid(), &param);
	CALL(sched_setparam, -1, &param);
	CALL(sched_setparam, NO_SUCH_PID, &param);
	CALL(sched_setparam, 0, NULL);
	CALL(sched_setparam, 0, 8L);
	CALL(sched_setparam, NO_SUCH_PID, 8L);
	CALL(setpriority, PRIO_PROCESS, 0, 0L);
	return report_status();
}
