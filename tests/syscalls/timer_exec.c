/* Are the timers of timer_create(2), and their signals, gone in a new program? */
#include "timer.h"

int main(int argc, char **argv)
{
	char *again[] = { argv[0], "again", NULL };
	struct itimerspec time;
	int armed, waits;
	pid_t child;

	if (argc > 1) {
		CALL(timer_gettime, 0, &time);
		CALL(timer_gettime, 1, &time);
		SHOW(is_blocked(SIGUSR1));
		SHOW(is_pending(SIGUSR1));
		SHOW(is_pending(SIGUSR2)); /* sent by kill(2): it stays */
		sleep_ns(10 * MS);
		SHOW(is_pending(SIGUSR1));
		return 0;
	}
	child = spawn();
	if (!child) {
		armed = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);
		waits = make_timer(CLOCK_MONOTONIC, SIGUSR1, 0);
		block(SIGUSR1);
		block(SIGUSR2);
		set_timer(waits, MS, MS);
		sleep_ns(3 * MS);
		SHOW(is_pending(SIGUSR1));
		set_timer(armed, 5 * MS, MS);
		kill(getpid(), SIGUSR2);
		execv(own_path(), again);
		die("execute");
	}
	reap("the new program", child);
	return report_status();
}
