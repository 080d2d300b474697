/* Does time in the kernel count as system time, and the rest as user time? */
#include "timer.h"
#include <sys/resource.h>

static struct rusage used(int who)
{
	struct rusage usage;

	if (getrusage(who, &usage))
		die("ask for the usage");
	return usage;
}

static long user(int who)
{
	return us_of(used(who).ru_utime);
}

static long system_time(int who)
{
	return us_of(used(who).ru_stime);
}

int main(void)
{
	long before;

	SHOW(user(RUSAGE_CHILDREN));
	SHOW(system_time(RUSAGE_CHILDREN));
	before = user(RUSAGE_SELF);
	UNTIL(user(RUSAGE_SELF) >= before + 20000, use_ring3());
	before = system_time(RUSAGE_SELF);
	UNTIL(system_time(RUSAGE_SELF) >= before + 20000, use_kernel());
	before = system_time(RUSAGE_THREAD);
	UNTIL(system_time(RUSAGE_THREAD) >= before + 20000, use_kernel());

	/* Neither goes back when the other grows. */
	before = system_time(RUSAGE_SELF);
	use_ring3();
	CHECK(system_time(RUSAGE_SELF) >= before);
	before = user(RUSAGE_SELF);
	use_kernel();
	CHECK(user(RUSAGE_SELF) >= before);
	CHECK(user(RUSAGE_SELF) + system_time(RUSAGE_SELF) <= cpu_now() / 1000);
	return report_status();
}
