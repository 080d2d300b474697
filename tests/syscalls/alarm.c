/* What does alarm(2) answer, and does one alarm replace the other? */
#include "timer.h"

int main(void)
{
	struct itimerval left;

	count_signal(SIGALRM);
	CALL(alarm, 0);
	CALL(alarm, 100);
	CALL(alarm, 50); /* rounded: nearly 100 */
	CALL(alarm, 0);
	CALL(alarm, 0);

	/* It is the timer of setitimer(2), without its interval. */
	left = itimer_of(1200000, 300000);
	CALL(setitimer, ITIMER_REAL, &left, NULL);
	CALL(alarm, 1000); /* 1.2 s are 1 */
	CALL(getitimer, ITIMER_REAL, &left);
	SHOW(us_of(left.it_interval));
	CHECK(us_of(left.it_value) <= 1000 * 1000000L);
	CHECK(us_of(left.it_value) > 990 * 1000000L);
	left = itimer_of(1900000, 0);
	CALL(setitimer, ITIMER_REAL, &left, NULL);
	CALL(alarm, 0); /* 1.9 s are 2 */
	left = itimer_of(300000, 0);
	CALL(setitimer, ITIMER_REAL, &left, NULL);
	CALL(alarm, 0); /* 0.3 s are 1: 0 would mean that there was none */
	SHOW(ticks);

	/* The longest that the kernel keeps. */
	CALL(alarm, 0xffffffffU);
	CALL(alarm, 1);
	await_ticks(1);
	SHOW(ticks);
	CALL(alarm, 0);
	return report_status();
}
