/* Do a hundred timers with one signal each send their own value, once? */
#include "timer.h"

#define N 100

static volatile int seen[N];

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	seen[info->si_value.sival_int]++;
	ticks++;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	int timers[N], once = 0;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGRTMIN + 3, &action, NULL);
	for (int i = 0; i < N; i++)
		timers[i] = make_timer(i % 3 ? CLOCK_MONOTONIC : CLOCK_REALTIME,
				       i % 2 ? SIGUSR1 : SIGRTMIN + 3, i);
	/* Blocked, even a standard signal waits once for each timer. */
	block(SIGUSR1);
	block(SIGRTMIN + 3);
	for (int i = 0; i < N; i++)
		set_timer(timers[i], MS + i * 7919 % N * 10000L, 0);
	sleep_ns(20 * MS);
	SHOW(ticks);
	unblock(SIGUSR1);
	SHOW(ticks);
	unblock(SIGRTMIN + 3);
	SHOW(ticks);
	for (int i = 0; i < N; i++)
		once += seen[i] == 1;
	SHOW(once);
	for (int i = 0; i < N; i += 2)
		if (syscall(SYS_timer_delete, timers[i]))
			die("delete a timer");
	for (int i = 0; i < N; i++)
		once -= (syscall(SYS_timer_getoverrun, timers[i]) == 0) == i % 2;
	SHOW(once);
	return report_status();
}
