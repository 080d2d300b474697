/* Which sets of processors does sched_setaffinity(2) take? */
#include "report.h"
#include <sched.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	unsigned long mask[512], had[512] = { 0 };
	long size;

	size = CALL_OK(sched_getaffinity, 0, (long)sizeof(had), had);
	if (size <= 0)
		die("sched_getaffinity");
	CALL(sched_setaffinity, 0, (long)sizeof(had), had);
	/* What is not there is left out; something must be left. */
	memset(mask, 0xff, sizeof(mask));
	CALL(sched_setaffinity, 0, (long)sizeof(mask), mask);
	CALL_OK(sched_getaffinity, 0, (long)sizeof(mask), mask);
	CHECK(memcmp(mask, had, size) == 0);
	memset(mask, 0, sizeof(mask));
	CALL(sched_setaffinity, 0, (long)sizeof(mask), mask);
	mask[511] = 1UL << 63;
	CALL(sched_setaffinity, 0, (long)sizeof(mask), mask);
	CALL(sched_setaffinity, 0, 0L, had);
	/* One byte is enough for the first eight. */
	memset(mask, 0xff, sizeof(mask));
	CALL(sched_setaffinity, getpid(), 1L, mask);
	CALL(sched_setaffinity, 0, (long)sizeof(had), had);
	CALL(sched_setaffinity, NO_SUCH_PID, (long)sizeof(had), had);
	CALL(sched_setaffinity, -1, (long)sizeof(had), had);
	CALL(sched_setaffinity, 0, 128L, NULL);
	CALL(sched_setaffinity, NO_SUCH_PID, 128L, NULL);
	CALL(sched_setaffinity, NO_SUCH_PID, 0L, NULL);
	CALL(sched_setaffinity, 0, 0L, NULL);
	return report_status();
}
