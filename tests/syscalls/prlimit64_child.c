/* Can a parent get and set the limits of a child? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	struct rlimit limit = { 77, 88 }, old = {};
	pid_t child = spawn();

	if (!child) {
		wait_for(step, 1);
		getrlimit(RLIMIT_NOFILE, &limit);
		say("child: %ld of %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
		_exit(0);
	}
	CALL(prlimit64, child, RLIMIT_NOFILE, &limit, NULL);
	CALL(prlimit64, child, RLIMIT_NOFILE, NULL, &old);
	say("parent: %ld of %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
	*step = 1;
	await(child, WEXITED);
	/* A zombie has them still. */
	CALL(prlimit64, child, RLIMIT_NOFILE, NULL, &old);
	reap("child", child);
	CALL(prlimit64, child, RLIMIT_NOFILE, NULL, &old);
	getrlimit(RLIMIT_NOFILE, &limit);
	CHECK(limit.rlim_cur != 77);
	return report_status();
}
