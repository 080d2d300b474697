/* Do interval timers go on in a new program, and end a handler-less one? */
#include "timer.h"

int main(int argc, char **argv)
{
	char *again[] = { argv[0], "again", NULL };
	struct itimerval time = itimer_of(400 * 1000000L, 5000), left;
	pid_t child;

	if (argc > 1) {
		for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
			CALL(getitimer, which, &left);
			CHECK(us_of(left.it_value) > 300 * 1000000L);
			SHOW(us_of(left.it_interval));
		}
		time = itimer_of(1000, 0);
		setitimer(ITIMER_REAL, &time, NULL);
		for (;;)
			pause_ms(1000);
	}
	child = spawn();
	if (!child) {
		count_signal(SIGALRM); /* the new program has the default */
		for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
			setitimer(which, &time, NULL);
		execv(own_path(), again);
		die("execute");
	}
	reap("the new program", child);
	return report_status();
}
