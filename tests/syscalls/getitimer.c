/* What does getitimer(2) show of a timer, and what does it refuse? */
#include "timer.h"

int main(void)
{
	struct itimerval time, left;

	memset(&left, 0xff, sizeof(left));
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		CALL(getitimer, which, &left);
		SHOW(us_of(left.it_value));
		SHOW(us_of(left.it_interval));
	}
	CALL(getitimer, -1, &left);
	CALL(getitimer, 3, &left);
	CALL(getitimer, 3, NULL);
	CALL(getitimer, ITIMER_REAL, NULL);
	CALL(getitimer, ITIMER_REAL, (void *)-1L);

	/* It comes down with its clock; it is not 0 while the timer is on. */
	count_signal(SIGALRM);
	time = itimer_of(50 * 1000000L, 0);
	setitimer(ITIMER_REAL, &time, NULL);
	sleep_ns(2 * MS);
	CALL(getitimer, ITIMER_REAL, &left);
	CHECK(us_of(left.it_value) <= us_of(time.it_value) - 2000);
	time = itimer_of(3000, 0);
	setitimer(ITIMER_REAL, &time, NULL);
	while (!ticks) {
		getitimer(ITIMER_REAL, &left);
		if (!ticks && !us_of(left.it_value) && (getitimer(ITIMER_REAL, &left), !ticks))
			say("nothing is left, and no signal has come\n");
	}
	CALL(getitimer, ITIMER_REAL, &left);
	SHOW(us_of(left.it_value));
	return report_status();
}
