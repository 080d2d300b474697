/* Does a child that blocks all signals stand still between SIGSTOP and SIGCONT? */
#include "process.h"

int main(void)
{
	volatile int *count = share_pages(1);
	int status;
	pid_t child = spawn();

	if (!child) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		for (;;) {
			++*count;
			pause_ms(1);
		}
	}
	for (int i = 0; i < 3; i++) {
		int before;

		before = *count;
		while (*count < before + 2)
			pause_ms(1);
		CALL(kill, child, SIGSTOP);
		CHECK(waitpid(child, &status, WUNTRACED) == child);
		show_wait_status("child", status);
		before = *count;
		pause_ms(5);
		CHECK(*count == before);
		CALL(kill, child, SIGCONT);
		CHECK(waitpid(child, &status, WCONTINUED) == child);
		show_wait_status("child", status);
		while (*count < before + 2)
			pause_ms(1);
	}
	CALL(kill, child, SIGTERM);
	CALL(wait4, child, &status, WNOHANG, NULL);
	CALL(kill, child, SIGKILL);
	reap("child", child);
	return report_status();
}
