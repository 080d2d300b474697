/* Does a timer stand still while its signal waits, and go on when that is taken? */
#include "timer.h"

int main(void)
{
	struct itimerval time = itimer_of(2000, 3000), left;

	count_signal(SIGALRM);
	block(SIGALRM);
	setitimer(ITIMER_REAL, &time, NULL);
	sleep_ns(30 * MS);
	SHOW(ticks);
	SHOW(is_pending(SIGALRM));
	CALL(getitimer, ITIMER_REAL, &left);
	SHOW(us_of(left.it_value)); /* it is not armed */
	SHOW(us_of(left.it_interval));
	unblock(SIGALRM);
	CHECK(ticks >= 1);
	CHECK(ticks <= 3); /* what was missed is not made good */
	CALL(getitimer, ITIMER_REAL, &left);
	CHECK(us_of(left.it_value) > 0);
	CHECK(us_of(left.it_value) <= 3000);
	await_ticks(3);

	/* Ignored, it is never taken: it does not go on. */
	set_action(SIGALRM, SIG_IGN, 0);
	setitimer(ITIMER_REAL, &time, NULL);
	sleep_ns(10 * MS);
	CALL(getitimer, ITIMER_REAL, &left);
	SHOW(us_of(left.it_value));
	SHOW(us_of(left.it_interval));
	return report_status();
}
