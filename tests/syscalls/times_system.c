/* Do times(2) and wait4(2) tell what a child has used in the kernel, and SIGCHLD too? */
#include "timer.h"
#include <sys/resource.h>
#include <sys/times.h>

static struct tms used(void)
{
	struct tms tms;

	times(&tms);
	return tms;
}

int main(void)
{
	struct rusage usage;
	pid_t child;

	note_signal(SIGCHLD);
	SHOW(used().tms_cstime);
	child = spawn();
	if (!child) {
		UNTIL(used().tms_stime >= 3, use_kernel());
		UNTIL(used().tms_utime >= 3, use_ring3());
		/* si_stime and si_utime are what these clocks show. */
		UNTIL(clock_now(CLOCK_PROCESS_PROF) - clock_now(CLOCK_PROCESS_USER_TIME) >= 20 * MS,
		      use_kernel());
		UNTIL(clock_now(CLOCK_PROCESS_USER_TIME) >= 20 * MS, use_ring3());
		SHOW(used().tms_cutime);
		SHOW(used().tms_cstime);
		_exit(report_status());
	}
	await(child, WEXITED);
	SHOW(used().tms_cstime);
	CHECK(wait4(child, NULL, 0, &usage) == child);
	CHECK(us_of(usage.ru_stime) >= 20000);
	CHECK(us_of(usage.ru_utime) >= 20000);
	SHOW(ticks);
	CHECK(tick_info.si_stime > 0);
	CHECK(tick_info.si_utime > 0);
	CHECK(used().tms_cutime >= 2);
	CHECK(used().tms_cstime >= 2);
	return report_status();
}
