/* What does sched_get_priority_min(2) say of each policy? */
#include "report.h"
#include <sched.h>

int main(void)
{
	CALL(sched_get_priority_min, SCHED_OTHER);
	CALL(sched_get_priority_min, SCHED_FIFO);
	CALL(sched_get_priority_min, SCHED_RR);
	CALL(sched_get_priority_min, SCHED_BATCH);
	CALL(sched_get_priority_min, 4);
	CALL(sched_get_priority_min, SCHED_IDLE);
	CALL(sched_get_priority_min, SCHED_DEADLINE);
	CALL(sched_get_priority_min, 8);
	CALL(sched_get_priority_min, -1);
	CALL(sched_get_priority_min, 0x40000001);
	CALL(sched_get_priority_min, 0x100000001L);
	return report_status();
}
