/* Does sched_yield(2) come back? */
#include "report.h"

int main(void)
{
	for (int i = 0; i < 3; i++)
		CALL(sched_yield);
	return report_status();
}
