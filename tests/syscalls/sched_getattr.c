/* What does sched_getattr(2) fill, up to where, and for whom? */
#include "report.h"
#include "sched_attr.h"

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct attr attr;

	memset(&attr, 0xff, sizeof(attr));
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER0, 0);
	SHOW(attr.size);
	SHOW(attr.policy);
	SHOW(attr.flags);
	SHOW(attr.nice);
	SHOW(attr.priority);
	SHOW(attr.deadline);
	SHOW(attr.period);
	CHECK(attr.util_min == 0xffffffff);
	CALL(sched_getattr, getpid(), &attr, (long)SIZE_VER0 + 4, 0);
	SHOW(attr.size);
	CHECK(attr.util_max == 0xffffffff);
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER1, 0);
	SHOW(attr.size);
	CHECK(attr.more[0] == -1UL);

	CALL(sched_getattr, 0, &attr, 0L, 0);
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER0 - 1, 0);
	CALL(sched_getattr, 0, &attr, PAGE + 1, 0);
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER0, 1);
	CALL(sched_getattr, -1, &attr, (long)SIZE_VER0, 0);
	CALL(sched_getattr, NO_SUCH_PID, &attr, (long)SIZE_VER0, 0);
	CALL(sched_getattr, 0, NULL, (long)SIZE_VER0, 0);
	CALL(sched_getattr, 0, 8L, (long)SIZE_VER0, 0);
	CALL(sched_getattr, NO_SUCH_PID, 8L, (long)SIZE_VER0, 0);
	return report_status();
}
