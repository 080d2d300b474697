/* Does each timer count for RLIMIT_SIGPENDING of its user? */
#include "timer.h"

int main(void)
{
	struct rlimit limit = { 3, 3 };
	int timers[4];
	pid_t child = spawn();

	if (!child) {
		setrlimit(RLIMIT_SIGPENDING, &limit);
		/* Of a user who has nothing else. */
		if (setresuid(54321, 54321, 54321))
			die("become another user");
		for (int i = 0; i < 4; i++)
			CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[i]);
		CALL(timer_delete, timers[1]);
		CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[1]);
		CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[3]);
		/* To expire needs none. */
		count_signal(SIGALRM);
		set_timer(timers[0], MS, 0);
		await_ticks(1);
		SHOW(ticks);
		_exit(0);
	}
	reap("child", child);
	child = spawn();
	if (!child) {
		setrlimit(RLIMIT_SIGPENDING, &limit);
		if (setresuid(54321, 54321, 54321))
			die("become another user");
		CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[0]); /* all were given back */
		CALL(timer_create, 100, NULL, &timers[1]);
		CALL(timer_create, CLOCK_MONOTONIC, NULL, NULL);
		CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[1]);
		CALL(timer_create, CLOCK_MONOTONIC, NULL, &timers[2]);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
