/* Does ITIMER_PROF count the CPU time of the process, and not its sleep? */
#include "timer.h"

int main(void)
{
	struct itimerval time = itimer_of(20000, 10000), left;
	int64_t start, used;

	note_signal(SIGPROF);
	start = cpu_now();
	CALL(setitimer, ITIMER_PROF, &time, NULL);
	sleep_ns(60 * MS);
	SHOW(ticks);
	burn_until_ticks(1);
	used = cpu_now() - start;
	CHECK(used >= 15 * MS);
	SHOW(tick_info.si_signo);
	SHOW(tick_info.si_code == SI_KERNEL);
	SHOW(tick_info.si_pid);
	CALL(getitimer, ITIMER_PROF, &left);
	CHECK(us_of(left.it_value) > 0);
	CHECK(us_of(left.it_value) <= 30000);
	SHOW(us_of(left.it_interval));
	burn_until_ticks(5);
	used = cpu_now() - start;
	CHECK(used >= 45 * MS);
	CHECK(ticks <= used / (10 * MS) + 1);
	CALL(setitimer, ITIMER_PROF, NULL, NULL);
	ticks = 0;
	burn(30 * MS);
	SHOW(ticks);
	return report_status();
}
