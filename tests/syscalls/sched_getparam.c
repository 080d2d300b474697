/* What does sched_getparam(2) store, for whom? */
#include "report.h"
#include <sched.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct sched_param param[2] = { { 17 }, { 18 } };

	CALL(sched_setscheduler, 0, SCHED_FIFO, param);
	param[0].sched_priority = -1;
	CALL(sched_getparam, 0, param);
	SHOW(param[0].sched_priority);
	SHOW(param[1].sched_priority);
	CALL(sched_getparam, getpid(), param);
	SHOW(param[0].sched_priority);
	param[0].sched_priority = 0;
	CALL(sched_setscheduler, 0, SCHED_OTHER, param);
	param[0].sched_priority = -1;
	CALL(sched_getparam, 0, param);
	SHOW(param[0].sched_priority);
	CALL(sched_getparam, -1, param);
	CALL(sched_getparam, NO_SUCH_PID, param);
	CALL(sched_getparam, 0, NULL);
	CALL(sched_getparam, 0, 8L);
	CALL(sched_getparam, NO_SUCH_PID, 8L);
	return report_status();
}
