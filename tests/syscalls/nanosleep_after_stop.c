/* Does a sleep go on, and not begin again, when the process was stopped meanwhile? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child = spawn();
	int64_t before;

	if (!child) {
		struct timespec time = { 0, 200000000 }, rest = { 7, 7 };

		before = clock_now(CLOCK_MONOTONIC);
		step[0] = 1;
		CALL(nanosleep, &time, &rest);
		CHECK(clock_now(CLOCK_MONOTONIC) - before >= 200000000);
		_exit(report_status());
	}
	wait_for(step, 1);
	for (int i = 0; i < 4; i++) {
		pause_ms(5);
		kill(child, SIGSTOP);
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	}
	/* Time passes for one that is stopped. */
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	pause_ms(220);
	kill(child, SIGCONT);
	before = clock_now(CLOCK_MONOTONIC);
	reap("child", child);
	CHECK(clock_now(CLOCK_MONOTONIC) - before < 150000000);
	return report_status();
}
