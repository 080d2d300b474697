/* Is poll(2) made again after a handler, and when does it end after a stop? */
#include "signals.h"
#include <poll.h>

static volatile int *step;
static int pipe_ends[2];

static void show_poll(const char *what, int timeout, int signal, int flags)
{
	int64_t before;
	pid_t child;

	say("%s, %s%s\n", what, signal_name(signal), flags & SA_RESTART ? " SA_RESTART" : "");
	*step = 0;
	child = spawn();
	if (!child) {
		struct pollfd fd = { pipe_ends[0], POLLIN, 0x7f };

		note_signal(SIGUSR1, flags);
		set_action(SIGUSR2, SIG_IGN, 0);
		before = clock_now(CLOCK_MONOTONIC);
		*step = 1;
		CALL(poll, &fd, 1L, timeout);
		SHOW(fd.revents);
		if (timeout > 0)
			CHECK((clock_now(CLOCK_MONOTONIC) - before >= timeout * 1000000LL)
			      == (signal != SIGUSR1));
		show_notes("after it");
		*step = 2;
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
	if (timeout < 0) {
		char byte;

		if (signal == SIGUSR1)
			wait_for(step, 2);
		else
			pause_ms(5);
		say("it %s\n", *step == 2 ? "has returned" : "sleeps on");
		write(pipe_ends[1], "x", 1);
		reap("child", child);
		read(pipe_ends[0], &byte, 1);
	} else {
		reap("child", child);
	}
}

int main(void)
{
	step = share_pages(1);
	if (pipe(pipe_ends))
		die("make a pipe");
	show_poll("for a time", 120, SIGUSR1, 0);
	show_poll("for a time", 120, SIGUSR1, SA_RESTART);
	show_poll("for a time", 120, SIGUSR2, 0);
	show_poll("for a time", 120, SIGSTOP, 0);
	show_poll("for ever", -1, SIGUSR1, 0);
	show_poll("for ever", -1, SIGUSR1, SA_RESTART);
	show_poll("for ever", -1, SIGSTOP, 0);
	return report_status();
}
