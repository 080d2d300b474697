/* How long does a sleep last that handlers, stops and ignored signals interrupt? */
#include "signals.h"

static volatile int *step;

/* kind: 0 nanosleep, 1 clock_nanosleep, 2 clock_nanosleep until */
static void show_sleep(const char *what, int kind, int signal, int flags)
{
	static const struct timespec length = { 0, 120000000 };
	pid_t child;

	say("%s, %s%s\n", what, signal_name(signal), flags & SA_RESTART ? " SA_RESTART" : "");
	*step = 0;
	child = spawn();
	if (!child) {
		struct timespec until, left = { 99, 99 };
		int64_t before = clock_now(CLOCK_MONOTONIC), passed;

		note_signal(SIGUSR1, flags);
		set_action(SIGUSR2, SIG_IGN, 0);
		*step = 1;
		if (kind == 0) {
			CALL(nanosleep, &length, &left);
		} else if (kind == 1) {
			CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &length, &left);
		} else {
			before = clock_now(CLOCK_MONOTONIC);
			until.tv_sec = (before + 120000000) / 1000000000;
			until.tv_nsec = (before + 120000000) % 1000000000;
			CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &left);
		}
		passed = clock_now(CLOCK_MONOTONIC) - before;
		say("  slept %s, rest %s\n", passed >= 120000000 ? "all" : "a part",
		    left.tv_sec == 99 ? "not stored"
		    : left.tv_sec || left.tv_nsec > 120000000 ? "wrong" : "stored");
		show_notes("  after it");
		if (signal == SIGUSR1)
			CALL(restart_syscall); /* a handler has run: it is forgotten */
		_exit(0);
	}
	let_sleep(step, 1);
	if (signal == SIGSTOP) {
		kill(child, SIGSTOP);
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	} else {
		kill(child, signal);
	}
	reap("  child", child);
}

int main(void)
{
	static const char *names[] = { "nanosleep", "clock_nanosleep", "clock_nanosleep until" };

	step = share_pages(1);
	for (int kind = 0; kind < 3; kind++) {
		show_sleep(names[kind], kind, SIGUSR1, 0);
		show_sleep(names[kind], kind, SIGUSR1, SA_RESTART);
		show_sleep(names[kind], kind, SIGUSR2, 0);
		show_sleep(names[kind], kind, SIGSTOP, 0);
	}
	/* Nobody's to call. */
	CALL(restart_syscall);
	return report_status();
}
