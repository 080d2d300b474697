/* Does a sleep that a stop interrupts end at its time all the same? */
#include "timer.h"

int main(void)
{
	int64_t *times = share_pages(1);
	pid_t child = spawn();

	if (!child) {
		struct timespec time = timespec_of(40 * MS), left = { 9, 9 };

		times[0] = clock_now(CLOCK_MONOTONIC);
		CALL(clock_nanosleep, CLOCK_REALTIME, 0, &time, &left);
		times[1] = clock_now(CLOCK_MONOTONIC);
		time = timespec_of(clock_now(CLOCK_MONOTONIC) + 20 * MS);
		times[2] = ns_of(time);
		CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
		times[3] = clock_now(CLOCK_MONOTONIC);
		_exit(0);
	}
	while (!times[0])
		pause_ms(1);
	for (int i = 0; i < 3; i++) {
		kill(child, SIGSTOP);
		await(child, WSTOPPED);
		pause_ms(1);
		kill(child, SIGCONT);
	}
	while (!times[2])
		pause_ms(1);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	reap("child", child);
	CHECK(times[1] - times[0] >= 40 * MS);
	CHECK(times[3] >= times[2]);
	return report_status();
}
