/* How long is a turn under each policy? */
#include "report.h"
#include <sched.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct sched_param param = { 1 };
	struct timespec turn = { -1, -1 };

	CALL(sched_setscheduler, 0, SCHED_RR, &param);
	CALL(sched_rr_get_interval, 0, &turn);
	SHOW(turn.tv_sec);
	SHOW(turn.tv_nsec);
	CALL(sched_setscheduler, 0, SCHED_FIFO, &param);
	CALL(sched_rr_get_interval, getpid(), &turn);
	SHOW(turn.tv_sec);
	SHOW(turn.tv_nsec);
	param.sched_priority = 0;
	CALL(sched_setscheduler, 0, SCHED_OTHER, &param);
	CALL(sched_rr_get_interval, 0, &turn);
	SHOW(turn.tv_sec);
	CHECK(turn.tv_nsec >= 0 && turn.tv_nsec < 100 * 1000 * 1000);
	CALL(sched_rr_get_interval, -1, &turn);
	CALL(sched_rr_get_interval, NO_SUCH_PID, &turn);
	CALL(sched_rr_get_interval, 0, NULL);
	CALL(sched_rr_get_interval, 0, 8L);
	CALL(sched_rr_get_interval, NO_SUCH_PID, 8L);
	return report_status();
}
