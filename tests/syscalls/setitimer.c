/* What does setitimer(2) take, and what does it say that there was? */
#include "timer.h"

int main(void)
{
	struct itimerval time, old;

	time = itimer_of(0, 0);
	memset(&old, 0xff, sizeof(old));
	CALL(setitimer, ITIMER_REAL, &time, &old);
	SHOW(us_of(old.it_value));
	SHOW(us_of(old.it_interval));
	CALL(setitimer, -1, &time, NULL);
	CALL(setitimer, 3, &time, NULL);
	CALL(setitimer, 3, NULL, NULL);
	CALL(setitimer, ITIMER_REAL, (void *)8, NULL);
	CALL(setitimer, 3, (void *)8, NULL);
	CALL(setitimer, ITIMER_REAL, &time, (void *)8);

	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		say("timer %d\n", which);
		time = (struct itimerval){ { 0, 0 }, { 0, 1000000 } };
		CALL(setitimer, which, &time, NULL);
		time = (struct itimerval){ { 0, 1000000 }, { 0, 0 } };
		CALL(setitimer, which, &time, NULL);
		time = (struct itimerval){ { 0, 0 }, { -1, 0 } };
		CALL(setitimer, which, &time, NULL);
		time = (struct itimerval){ { 0, 0 }, { 0, -1 } };
		CALL(setitimer, which, &time, NULL);

		time = itimer_of(300 * 1000000L, 123456789);
		CALL(setitimer, which, &time, NULL);
		time = itimer_of(200 * 1000000L, 0);
		CALL(setitimer, which, &time, &old);
		CHECK(us_of(old.it_value) > 290 * 1000000L);
		CHECK(us_of(old.it_value) <= 300 * 1000000L + 20000);
		SHOW(us_of(old.it_interval));
		time = itimer_of(0, 99);
		CALL(setitimer, which, &time, &old);
		CHECK(us_of(old.it_value) > 190 * 1000000L);
		SHOW(us_of(old.it_interval));
		/* Off: of the interval of a timer that is off only CPU time remembers something. */
		CALL(setitimer, which, NULL, &old);
		SHOW(us_of(old.it_value));
		SHOW(us_of(old.it_interval));
		CALL(getitimer, which, &old);
		SHOW(us_of(old.it_interval));
	}

	/* The longest times. */
	time = (struct itimerval){ { INT64_MAX, 0 }, { INT64_MAX, 999999 } };
	CALL(setitimer, ITIMER_REAL, &time, NULL);
	CALL(getitimer, ITIMER_REAL, &old);
	CHECK(old.it_value.tv_sec > 9000000000L);
	return report_status();
}
