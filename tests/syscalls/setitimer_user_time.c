/* Does ITIMER_VIRTUAL stand still in the kernel, where ITIMER_PROF goes on? */
#include "timer.h"

static volatile sig_atomic_t user_ticks;

static void count_user_tick(int signal)
{
	(void)signal;
	user_ticks++;
}

static long left(int which)
{
	struct itimerval time;

	getitimer(which, &time);
	return us_of(time.it_value);
}

int main(void)
{
	struct sigaction action = { .sa_handler = count_user_tick };
	struct itimerval time = itimer_of(5000, 5000);

	count_signal(SIGPROF);
	sigaction(SIGVTALRM, &action, NULL);
	CALL(setitimer, ITIMER_PROF, &time, NULL);
	CALL(setitimer, ITIMER_VIRTUAL, &time, NULL);
	UNTIL(ticks >= 10 && user_ticks < ticks, use_kernel());
	CHECK(user_ticks < ticks);

	/* And in ring 3 both go on. */
	ticks = user_ticks = 0;
	UNTIL(ticks >= 3 && user_ticks >= 3, use_ring3());
	time = itimer_of(0, 0);
	CALL(setitimer, ITIMER_PROF, &time, NULL);
	CALL(setitimer, ITIMER_VIRTUAL, &time, NULL);

	/* What is left is user time. */
	time = itimer_of(1000000, 0);
	CALL(setitimer, ITIMER_VIRTUAL, &time, NULL);
	CALL(setitimer, ITIMER_PROF, &time, NULL);
	UNTIL(left(ITIMER_VIRTUAL) - left(ITIMER_PROF) >= 20000, use_kernel());
	UNTIL(left(ITIMER_VIRTUAL) <= 980000, use_ring3());
	CHECK(left(ITIMER_PROF) < left(ITIMER_VIRTUAL));
	return report_status();
}
