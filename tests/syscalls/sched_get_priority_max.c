/* What does sched_get_priority_max(2) say of each policy? */
#include "report.h"
#include <sched.h>

int main(void)
{
	CALL(sched_get_priority_max, SCHED_OTHER);
	CALL(sched_get_priority_max, SCHED_FIFO);
	CALL(sched_get_priority_max, SCHED_RR);
	CALL(sched_get_priority_max, SCHED_BATCH);
	CALL(sched_get_priority_max, 4);
	CALL(sched_get_priority_max, SCHED_IDLE);
	CALL(sched_get_priority_max, SCHED_DEADLINE);
	CALL(sched_get_priority_max, 8);
	CALL(sched_get_priority_max, -1);
	CALL(sched_get_priority_max, 0x40000001);
	CALL(sched_get_priority_max, 0x100000001L);
	return report_status();
}
