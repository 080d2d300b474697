/* What does adjtimex(2) say without changing anything, and what does it refuse? */
#include "timer.h"
#include <sys/timex.h>

int main(void)
{
	struct timex state = { 0 };
	int64_t before = clock_now(CLOCK_REALTIME) / 1000, now, after;
	pid_t child;

	CHECK(syscall(SYS_adjtimex, &state) >= 0);
	after = clock_now(CLOCK_REALTIME) / 1000;
	now = state.time.tv_sec * 1000000 +
	      (state.status & STA_NANO ? state.time.tv_usec / 1000 : state.time.tv_usec);
	CHECK(now >= before);
	CHECK(now <= after);
	CHECK(state.tick >= 9000 && state.tick <= 11000);
	SHOW(state.tolerance);
	SHOW(state.precision);
	state.modes = ADJ_OFFSET_SS_READ;
	CHECK(syscall(SYS_adjtimex, &state) >= 0);
	state.modes = 0;
	CHECK(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &state) >= 0);
	CALL(adjtimex, NULL);
	CALL(clock_adjtime, CLOCK_REALTIME, NULL);
	CALL(clock_adjtime, CLOCK_MONOTONIC, &state);
	CALL(clock_adjtime, CLOCK_MONOTONIC, NULL);
	CALL(clock_adjtime, CLOCK_PROCESS_CPUTIME_ID, &state);
	CALL(clock_adjtime, 10, &state);
	CALL(clock_adjtime, 100, &state);
	state.modes = ADJ_SETOFFSET;
	state.time.tv_sec = 0;
	state.time.tv_usec = -1;
	CALL(adjtimex, &state);
	state.time.tv_usec = 1000000;
	CALL(adjtimex, &state);
	child = spawn();
	if (!child) {
		if (setresuid(54321, 54321, 54321))
			die("become another user");
		state.time.tv_usec = 0;
		CALL(adjtimex, &state);
		state.modes = ADJ_FREQUENCY;
		CALL(adjtimex, &state);
		state.modes = 0;
		CHECK(syscall(SYS_adjtimex, &state) >= 0);
		_exit(report_status());
	}
	reap("child", child);
	return report_status();
}
