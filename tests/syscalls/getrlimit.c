/* Which resources does getrlimit(2) know, and how do the two limits relate? */
#include "report.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit limit, stack;

	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		say("resource %d: ", resource);
		CALL(getrlimit, resource, &limit);
		CHECK(limit.rlim_cur <= limit.rlim_max);
	}
	CALL(getrlimit, RLIM_NLIMITS, &limit);
	CALL(getrlimit, -1, &limit);
	CALL(getrlimit, RLIMIT_STACK, NULL);
	CALL(getrlimit, RLIM_NLIMITS, NULL);

	/* We are on a stack and have descriptors open. */
	CALL(getrlimit, RLIMIT_STACK, &stack);
	CHECK(stack.rlim_cur >= 64 * 1024);
	CALL(getrlimit, RLIMIT_NOFILE, &limit);
	CHECK(limit.rlim_cur > STDERR_FILENO);
	return report_status();
}
