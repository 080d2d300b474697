/* Which CPU and node does getcpu(2) name, and what does it take? */
#include "report.h"
#include <sched.h>

int main(void)
{
	unsigned cpu = 77777, node = 77777;
	cpu_set_t set;

	CALL(getcpu, &cpu, &node, NULL);
	CHECK(cpu < 4096);
	CHECK(node < 4096);
	CALL(getcpu, NULL, NULL, NULL);
	CALL(getcpu, &cpu, NULL, (void *)8);
	CALL(getcpu, NULL, &node, NULL);
	CALL(getcpu, (void *)8, NULL, NULL);
	CALL(getcpu, NULL, (void *)8, NULL);
	/* On one CPU alone it is that one, by the library, too. */
	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set)) {
			CPU_ZERO(&set);
			CPU_SET(i, &set);
			sched_setaffinity(0, sizeof(set), &set);
			CALL(getcpu, &cpu, NULL, NULL);
			CHECK(cpu == (unsigned)i);
			CHECK(sched_getcpu() == i);
			break;
		}
	return report_status();
}
