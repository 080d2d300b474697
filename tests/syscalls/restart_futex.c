/* What does a signal do to who waits for a futex, with and without a time limit? */
#include "futex.h"

static volatile int *step;

static void show_wait(const char *what, int timed, int signal, int flags)
{
	pid_t child;

	say("%s, %s%s\n", what, signal_name(signal), flags & SA_RESTART ? " SA_RESTART" : "");
	step[0] = step[1] = 0;
	child = spawn();
	if (!child) {
		struct timespec timeout = { 0, 150000000 };
		int64_t before = clock_now(CLOCK_MONOTONIC);

		note_signal(SIGUSR1, flags);
		set_action(SIGUSR2, SIG_IGN, 0);
		*step = 1;
		SHOW(futex(&step[1], FUTEX_WAIT, 0, timed ? &timeout : NULL, NULL, 0));
		if (timed)
			say("%s\n", clock_now(CLOCK_MONOTONIC) - before >= 150000000 ? "all of it"
									 : "a part");
		show_notes("after it");
		*step = 2;
		_exit(0);
	}
	let_sleep(step, 1);
	kill(child, signal);
	if (signal == SIGSTOP) {
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	}
	if (!timed && (signal != SIGUSR1 || flags & SA_RESTART)) {
		pause_ms(5);
		say("it %s\n", *step == 2 ? "has returned" : "sleeps on");
		wake_one(&step[1], FUTEX_WAKE, 0);
	}
	reap("child", child);
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	for (int timed = 0; timed < 2; timed++) {
		const char *what = timed ? "for a time" : "for ever";

		show_wait(what, timed, SIGUSR1, 0);
		show_wait(what, timed, SIGUSR1, SA_RESTART);
		show_wait(what, timed, SIGUSR2, 0);
		show_wait(what, timed, SIGSTOP, 0);
	}
	/* Who is killed waits no more. */
	*step = step[1] = 0;
	child = spawn();
	if (!child) {
		*step = 1;
		futex(&step[1], FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(1);
	}
	let_sleep(step, 1);
	kill(child, SIGKILL);
	reap("killed", child);
	SHOW(futex(&step[1], FUTEX_WAKE, 1, NULL, NULL, 0));
	return report_status();
}
