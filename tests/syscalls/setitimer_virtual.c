/* Does ITIMER_VIRTUAL count user time, and send SIGVTALRM? */
#include "timer.h"

int main(void)
{
	struct itimerval time = itimer_of(12000, 8000);
	pid_t child;

	count_signal(SIGVTALRM);
	CALL(setitimer, ITIMER_VIRTUAL, &time, NULL);
	sleep_ns(40 * MS);
	SHOW(ticks);
	while (ticks < 4) /* without a call into the kernel */
		;
	SHOW(ticks >= 4);
	CALL(setitimer, ITIMER_VIRTUAL, NULL, NULL);
	child = spawn();
	if (!child) {
		set_action(SIGVTALRM, SIG_DFL, 0);
		time = itimer_of(1, 0);
		setitimer(ITIMER_VIRTUAL, &time, NULL);
		for (;;)
			;
	}
	reap("child", child);
	return report_status();
}
