/* When do the children's times and faults come to their parent, and whose? */
#include "process.h"
#include <sys/times.h>

static long faults(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return usage.ru_minflt;
}

static long child_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
}

static void use(long ms)
{
	int64_t begin = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	volatile unsigned sink = 0;

	while (clock_now(CLOCK_PROCESS_CPUTIME_ID) < begin + ms * 1000000)
		for (int i = 0; i < 10000; i++)
			sink += i;
}

int main(void)
{
	struct tms before, after;
	long first;
	pid_t child;

	times(&before);
	CHECK(before.tms_cutime == 0 && before.tms_cstime == 0);
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		use(20);
		if (!grandchild)
			_exit(0);
		CHECK(child_time() == 0);
		waitpid(grandchild, NULL, 0);
		CHECK(child_time() >= 19000);
		_exit(report_status());
	}
	await(child, WEXITED);
	/* Not before they are waited for. */
	CHECK(child_time() == 0);
	CHECK(faults(RUSAGE_CHILDREN) == 0);
	reap("child", child);
	first = child_time();
	CHECK(first >= 38000);
	CHECK(faults(RUSAGE_CHILDREN) > 0);
	times(&after);
	CHECK(after.tms_cutime + after.tms_cstime >= 3);

	/* Those of a child that nobody waits for are lost. */
	set_action(SIGCHLD, SIG_IGN, 0);
	child = spawn();
	if (!child) {
		use(20);
		_exit(0);
	}
	CALL(wait4, child, NULL, 0, NULL);
	CHECK(child_time() == first);
	return report_status();
}
