/* Is a read from a pipe, or a write to one, made again after a handler? */
#include "signals.h"

static volatile int *step;
static char bytes[1 << 18];

/* Who sleeps in a call until it is signalled, and then until it may go on. */
static void show_transfer(const char *what, int flags, int writes, long size)
{
	int pipe_ends[2];
	pid_t child;
	long total = 0, taken;

	say("%s, %s\n", what, flags & SA_RESTART ? "SA_RESTART" : "no flag");
	*step = 0;
	if (pipe(pipe_ends))
		die("make a pipe");
	child = spawn();
	if (!child) {
		close(pipe_ends[!writes]);
		note_signal(SIGUSR1, flags);
		*step = 1;
		if (writes)
			CALL(write, pipe_ends[1], bytes, size);
		else
			CALL(read, pipe_ends[0], bytes, size);
		show_notes("after it");
		*step = 2;
		_exit(0);
	}
	close(pipe_ends[writes]);
	let_sleep(step, 1);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	pause_ms(2);
	kill(child, SIGUSR1);
	/* Give it time to return where it must not, and wait where it must. */
	if (flags & SA_RESTART && !writes)
		pause_ms(5);
	else
		wait_for(step, 2);
	say("it %s\n", *step == 2 ? "has returned" : "sleeps on");
	if (writes)
		while ((taken = read(pipe_ends[0], bytes, sizeof(bytes))) > 0)
			total += taken;
	else
		write(pipe_ends[1], "12345", 5);
	close(pipe_ends[!writes]);
	reap("child", child);
	SHOW(total);
}

int main(void)
{
	step = share_pages(1);
	set_action(SIGPIPE, SIG_IGN, 0);
	show_transfer("read", 0, 0, 10);
	show_transfer("read", SA_RESTART, 0, 10);
	/* A write that has begun returns what it has written. */
	show_transfer("write", 0, 1, 100000);
	show_transfer("write", SA_RESTART, 1, 100000);
	return report_status();
}
