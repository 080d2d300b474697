/* Whose policy does sched_getscheduler(2) return? */
#include "report.h"
#include <sched.h>

#define NO_SUCH_PID 0x7ffffff0
#define RESET_ON_FORK 0x40000000

int main(void)
{
	struct sched_param param = { 0 };

	CALL(sched_setscheduler, 0, SCHED_BATCH, &param);
	CALL(sched_getscheduler, 0);
	CALL(sched_getscheduler, getpid());
	CALL(sched_setscheduler, 0, SCHED_IDLE | RESET_ON_FORK, &param);
	CALL(sched_getscheduler, 0);
	CALL(sched_setscheduler, 0, SCHED_OTHER, &param);
	CALL(sched_getscheduler, 0);
	CALL(sched_getscheduler, -1);
	CALL(sched_getscheduler, NO_SUCH_PID);
	return report_status();
}
