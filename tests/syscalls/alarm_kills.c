/* Does an alarm that nobody handles end the process, and one that is ignored not? */
#include "timer.h"

int main(void)
{
	pid_t child = spawn();
	struct itimerval soon = itimer_of(1000, 0);

	if (!child) {
		setitimer(ITIMER_REAL, &soon, NULL);
		for (;;)
			pause_ms(1000);
	}
	reap("by default", child);
	child = spawn();
	if (!child) {
		set_action(SIGALRM, SIG_IGN, 0);
		setitimer(ITIMER_REAL, &soon, NULL);
		pause_ms(20);
		_exit(3);
	}
	reap("ignored", child);
	child = spawn();
	if (!child) {
		setitimer(ITIMER_REAL, &soon, NULL);
		for (;;)
			; /* nobody calls the kernel */
	}
	reap("busy", child);
	return report_status();
}
