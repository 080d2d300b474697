/* Does SIGSTOP stop all threads of a process, and SIGCONT continue them? */
#include "process.h"

static volatile int tid, *count;

static int counts(void *unused)
{
	(void)unused;
	for (;;) {
		++*count;
		pause_ms(1);
	}
	return 0;
}

int main(void)
{
	pid_t child;
	int before, status;

	count = share_pages(1);
	child = spawn();
	if (!child) {
		start_thread(counts, NULL, &tid);
		for (;;)
			pause_ms(10000);
	}
	while (*count < 2)
		pause_ms(1);
	kill(child, SIGSTOP);
	CHECK(waitpid(child, &status, WUNTRACED) == child);
	show_wait_status("child", status);
	before = *count;
	pause_ms(10);
	CHECK(*count == before);
	kill(child, SIGCONT);
	CHECK(waitpid(child, &status, WCONTINUED) == child);
	show_wait_status("child", status);
	while (*count < before + 2)
		pause_ms(1);
	kill(child, SIGKILL);
	reap("child", child);
	return report_status();
}
