/* Do absolute times expire in their order, those of the past at once, and none too early? */
#include "timer.h"

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI };

static int order[8], taken;

static void note_order(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	order[taken++] = info->si_value.sival_int;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = note_order, .sa_flags = SA_SIGINFO };
	struct itimerspec time;
	int timer;
	int64_t now;

	note_signal(SIGRTMIN);
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		ticks = 0;
		say("clock %d\n", clocks[i]);
		timer = make_timer(clocks[i], SIGRTMIN, i);
		now = clock_now(clocks[i]);
		time = timer_of(now + 3 * MS, 0);
		CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
		await_ticks(1);
		CHECK(clock_now(clocks[i]) >= now + 3 * MS);
		time = timer_of(now, 0); /* the past */
		CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
		await_ticks(2);
		time = timer_of(1, 0);
		CALL(timer_settime, timer, TIMER_ABSTIME, &time, NULL);
		await_ticks(3);
		SHOW(tick_info.si_overrun);
		SHOW(timer_left(timer));
	}

	/* The later timer is set first. */
	block(SIGRTMIN);
	now = clock_now(CLOCK_MONOTONIC);
	for (int i = 4; i > 0; i--) {
		timer = make_timer(i % 2 ? CLOCK_MONOTONIC : CLOCK_BOOTTIME, SIGRTMIN, i);
		time = timer_of(now + 2 * MS + i * MS, 0);
		syscall(SYS_timer_settime, timer, TIMER_ABSTIME, &time, NULL);
	}
	sleep_ns(20 * MS);
	sigfillset(&action.sa_mask);
	sigaction(SIGRTMIN, &action, NULL);
	unblock(SIGRTMIN);
	for (int i = 0; i < taken; i++)
		SHOW(order[i]);
	return report_status();
}
