/* Which signals end a process by default, and what does its parent see? */
#include "process.h"

int main(void)
{
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		char line[64];
		int stopped, status;
		pid_t child;

		/* Two real-time ones stand for all; SIGSTOP and its like have programs of their own. */
		if (sig > SIGSYS && sig != 34 && sig != 64)
			continue;
		if (sig >= SIGCONT && sig <= SIGTTOU)
			continue;
		child = spawn();
		if (!child) {
			without_core();
			kill(getpid(), sig);
			_exit(0);
		}
		snprintf(line, sizeof(line), "%s to itself", signal_name(sig));
		status = reap(line, child);
		/* From outside, to one that sleeps; ended by SIGKILL if that does nothing. */
		stopped = WIFSIGNALED(status);
		child = spawn();
		if (!child) {
			without_core();
			raise(SIGSTOP);
			for (;;)
				pause_ms(10000);
		}
		await(child, WSTOPPED);
		kill(child, sig);
		kill(child, SIGCONT);
		if (!stopped) {
			await(child, WCONTINUED);
			kill(child, SIGKILL);
		}
		snprintf(line, sizeof(line), "%s to another", signal_name(sig));
		reap(line, child);
	}
	return report_status();
}
