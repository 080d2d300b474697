/* Does prlimit64(2) give the old limits and set the new ones in one call? */
#include "report.h"
#include <sys/resource.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct rlimit limit, old, back;

	CALL(prlimit64, 0, RLIMIT_CORE, NULL, &old);
	limit = (struct rlimit){ 0, old.rlim_max };
	CALL(prlimit64, 0, RLIMIT_CORE, &limit, &back);
	CHECK(back.rlim_cur == old.rlim_cur && back.rlim_max == old.rlim_max);
	CALL(prlimit64, getpid(), RLIMIT_CORE, &old, &back);
	CHECK(back.rlim_cur == 0 && back.rlim_max == old.rlim_max);
	CALL(prlimit64, 0, RLIMIT_CORE, NULL, NULL);
	CALL(prlimit64, 0, RLIMIT_CORE, &old, NULL);

	/* Infinity and the other call's answer are the same numbers. */
	CALL(prlimit64, 0, RLIMIT_STACK, NULL, &limit);
	getrlimit(RLIMIT_STACK, &back);
	CHECK(limit.rlim_cur == back.rlim_cur && limit.rlim_max == back.rlim_max);

	limit = (struct rlimit){ 2, 1 };
	CALL(prlimit64, 0, RLIMIT_CORE, &limit, NULL);
	CALL(prlimit64, 0, RLIM_NLIMITS, NULL, &limit);
	CALL(prlimit64, 0, -1, NULL, &limit);
	CALL(prlimit64, NO_SUCH_PID, RLIMIT_CORE, NULL, &limit);
	CALL(prlimit64, -1, RLIMIT_CORE, NULL, &limit);
	CALL(prlimit64, 0, RLIMIT_CORE, (void *)8, NULL);
	CALL(prlimit64, 0, RLIMIT_CORE, NULL, (void *)8);
	return report_status();
}
