/* Does membarrier(2) answer a query, and what does it refuse? */
#include "report.h"
#include <linux/membarrier.h>

int main(void)
{
	long commands = CALL_OK(membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	CHECK(commands >= 0);
	CALL(membarrier, MEMBARRIER_CMD_QUERY, 2, 0);
	CALL(membarrier, -1, 0, 0);
	CALL(membarrier, 1 << 30, 0, 0);
	return report_status();
}
