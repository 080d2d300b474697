/* Which processors may we use, and which sizes does sched_getaffinity(2) accept? */
#include "report.h"

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	unsigned long mask[1024] = { 0 };
	unsigned long any = 0;
	long size;

	size = CALL_OK(sched_getaffinity, 0, (long)sizeof(mask), mask);
	CHECK(size > 0 && size % 8 == 0);
	for (long i = 0; i < size / 8; i++)
		any |= mask[i];
	CHECK(any);
	CHECK(CALL_OK(sched_getaffinity, getpid(), (long)sizeof(mask), mask) == size);
	/* Whole words, and enough for every processor. */
	CALL(sched_getaffinity, 0, 0L, mask);
	CALL(sched_getaffinity, 0, 1L, mask);
	CALL(sched_getaffinity, 0, 8L * 1024 - 1, mask);
	CALL(sched_getaffinity, NO_SUCH_PID, (long)sizeof(mask), mask);
	CALL(sched_getaffinity, -1, (long)sizeof(mask), mask);
	CALL(sched_getaffinity, 0, (long)sizeof(mask), NULL);
	CALL(sched_getaffinity, 0, 1L, NULL);
	return report_status();
}
