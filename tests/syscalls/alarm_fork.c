/* Does a child begin without its parent's timers, and has its own? */
#include "timer.h"

int main(void)
{
	struct itimerval time = itimer_of(500 * 1000000L, 7000), left;
	pid_t child;

	setitimer(ITIMER_REAL, &time, NULL);
	setitimer(ITIMER_VIRTUAL, &time, NULL);
	setitimer(ITIMER_PROF, &time, NULL);
	child = spawn();
	if (!child) {
		for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
			CALL(getitimer, which, &left);
			SHOW(us_of(left.it_value));
			SHOW(us_of(left.it_interval));
		}
		CALL(alarm, 100);
		CALL(alarm, 200);
		_exit(0);
	}
	reap("child", child);
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		CALL(getitimer, which, &left);
		CHECK(us_of(left.it_value) > 400 * 1000000L);
		SHOW(us_of(left.it_interval));
	}
	CALL(alarm, 0);
	return report_status();
}
