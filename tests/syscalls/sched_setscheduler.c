/* Which policies and priorities does sched_setscheduler(2) take? */
#include "report.h"
#include <sched.h>
#include <sys/resource.h>

#define NO_SUCH_PID 0x7ffffff0
#define RESET_ON_FORK 0x40000000

static void set(int policy, int priority)
{
	struct sched_param param = { priority };

	SHOW(policy);
	SHOW(priority);
	CALL(sched_setscheduler, 0, policy, &param);
	CALL(sched_getscheduler, 0);
	param.sched_priority = -1;
	CALL(sched_getparam, 0, &param);
	SHOW(param.sched_priority);
}

int main(void)
{
	static const int policies[] = { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE };
	struct sched_param param = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		set(policies[i], 0);
		set(policies[i], 1);
		set(policies[i], 99);
		set(policies[i], 100);
		set(policies[i], -1);
		}
	set(SCHED_OTHER, 0);
	set(4, 0);
	set(8, 0);
	set(1000, 0);
	set(-1, 0);
	set(-2, 1);

	set(SCHED_RR | RESET_ON_FORK, 20);
	CALL(setpriority, PRIO_PROCESS, 0, -3L);
	set(SCHED_BATCH | RESET_ON_FORK, 0);
	CALL(getpriority, PRIO_PROCESS, 0);
	CALL(setpriority, PRIO_PROCESS, 0, 8L);
	set(SCHED_BATCH, 0);
	set(SCHED_OTHER, 0);
	CALL(setpriority, PRIO_PROCESS, 0, 0L);

	CALL(sched_setscheduler, -1, SCHED_OTHER, &param);
	CALL(sched_setscheduler, NO_SUCH_PID, SCHED_OTHER, &param);
	CALL(sched_setscheduler, getpid(), SCHED_OTHER, &param);
	CALL(sched_setscheduler, 0, SCHED_OTHER, NULL);
	CALL(sched_setscheduler, 0, SCHED_OTHER, 8L);
	CALL(sched_setscheduler, NO_SUCH_PID, SCHED_OTHER, 8L);
	CALL(sched_setscheduler, NO_SUCH_PID, 1000, &param);
	CALL(sched_setscheduler, NO_SUCH_PID, -1, &param);
	return report_status();
}
