/* On which clocks, and with which events, does timer_create(2) make a timer? */
#include "timer.h"

static void event(int notify, int signal, int thread)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signal };
	int timer;

	event._sigev_un._tid = thread;
	say("notify %d, signal %d: ", notify, signal);
	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
}

int main(void)
{
	static const int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
				      CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
				      CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
				      10, CLOCK_TAI, 12, 100, ~0 << 3, ~0 << 3 | 1, ~0 << 3 | 2,
				      ~0 << 3 | 3, ~0 << 3 | 4, ~0 << 3 | 6, ~0 << 3 | 7 };
	struct sigevent bad = { .sigev_notify = 7 };
	pid_t self = gettid();
	int timer;

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		timer = -1;
		say("clock %d: ", clocks[i]);
		if (!CALL(timer_create, clocks[i], NULL, &timer))
			SHOW(timer);
	}
	CALL(timer_create, CLOCK_MONOTONIC, (void *)8, &timer);
	CALL(timer_create, CLOCK_MONOTONIC, NULL, (void *)8);
	CALL(timer_create, CLOCK_MONOTONIC, NULL, NULL);
	CALL(timer_create, 100, (void *)8, &timer);
	CALL(timer_create, 100, &bad, &timer);
	CALL(timer_create, CLOCK_MONOTONIC_COARSE, &bad, &timer);
	CALL(timer_create, CLOCK_MONOTONIC, &bad, &timer);
	CALL(timer_create, CLOCK_MONOTONIC, &bad, NULL);

	event(SIGEV_SIGNAL, SIGUSR1, 0);
	event(SIGEV_SIGNAL, 0, 0);
	event(SIGEV_SIGNAL, -1, 0);
	event(SIGEV_SIGNAL, 64, 0);
	event(SIGEV_SIGNAL, 65, 0);
	event(SIGEV_SIGNAL, SIGKILL, 0);
	event(SIGEV_NONE, 0, 0);
	event(SIGEV_NONE, 1000, 0);
	event(SIGEV_THREAD, SIGUSR1, 0);
	event(SIGEV_THREAD, 0, 0);
	event(SIGEV_THREAD_ID, SIGUSR1, self);
	event(SIGEV_THREAD_ID, 0, self);
	event(SIGEV_THREAD_ID, SIGUSR1, 0);
	event(SIGEV_THREAD_ID, SIGUSR1, -1);
	event(SIGEV_THREAD_ID, SIGUSR1, getppid());
	event(SIGEV_THREAD_ID | SIGEV_NONE, SIGUSR1, self);
	event(3, SIGUSR1, 0);
	event(8, SIGUSR1, 0);
	event(-1, SIGUSR1, 0);
	return report_status();
}
