/* What does poll(2) say of a pipe's ends, and what wakes it? */
#include "report.h"
#include <poll.h>
#include <sys/wait.h>

#define ALL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLWRNORM)

static char buffer[65536];

static void make_pipe(int *fds)
{
	if (pipe(fds))
		die("make a pipe");
}

static void show_events(const char *what, const int *fds)
{
	struct pollfd polls[2] = { { fds[0], ALL_EVENTS, -1 }, { fds[1], ALL_EVENTS, -1 } };
	int ready = poll(polls, 2, 0);

	say("%s: %d ready, read end %#x, write end %#x\n", what, ready,
	    (unsigned short)polls[0].revents, (unsigned short)polls[1].revents);
}

static void states(void)
{
	int fds[2];

	make_pipe(fds);
	show_events("empty", fds);
	write(fds[1], "x", 1);
	show_events("one byte", fds);
	write(fds[1], buffer, 61440);
	show_events("all slots", fds);
	read(fds[0], buffer, 4096);
	show_events("a slot less", fds);
	close(fds[1]);
	show_events("no writer", fds);
	while (read(fds[0], buffer, sizeof(buffer)) > 0)
		;
	show_events("no writer, empty", fds);
	close(fds[0]);

	make_pipe(fds);
	close(fds[0]);
	show_events("no reader", fds);
	close(fds[1]);

	make_pipe(fds);
	write(fds[1], buffer, 65536);
	close(fds[0]);
	show_events("no reader, full", fds);
	close(fds[1]);
}

static void do_later(int *fds, int what)
{
	struct timespec time = { 0, 30000000 };

	nanosleep(&time, NULL);
	switch (what) {
	case 0:
		write(fds[1], "x", 1);
		break;
	case 1:
		for (int i = 0; i < 16; i++)
			read(fds[0], buffer, 4096);
		break;
	case 2:
		break;
	}
	_exit(0);
}

static void woken(const char *name, int what, int full, int keep_reader, int keep_writer)
{
	struct pollfd poll_one[2];
	int fds[2], ready, status;

	make_pipe(fds);
	if (full)
		write(fds[1], buffer, 65536);
	if (!fork())
		do_later(fds, what);
	if (!keep_reader)
		close(fds[0]);
	if (!keep_writer)
		close(fds[1]);
	poll_one[0] = (struct pollfd){ keep_reader ? fds[0] : -1, POLLIN, -1 };
	poll_one[1] = (struct pollfd){ keep_writer ? fds[1] : -1, full ? POLLOUT : 0, -1 };
	if (full)
		poll_one[0].fd = -1;
	ready = poll(poll_one, 2, 10000);
	say("%s: %d, %#x %#x\n", name, ready, (unsigned short)poll_one[0].revents,
	    (unsigned short)poll_one[1].revents);
	wait(&status);
	if (keep_reader)
		close(fds[0]);
	if (keep_writer)
		close(fds[1]);
}

static void time_runs_out(void)
{
	struct pollfd one;
	int fds[2];

	make_pipe(fds);
	one = (struct pollfd){ fds[0], POLLIN, -1 };
	CALL(poll, &one, 1, 20);
	SHOW(one.revents);
	write(fds[1], buffer, 65536);
	one = (struct pollfd){ fds[1], POLLOUT, -1 };
	CALL(poll, &one, 1, 20);
	SHOW(one.revents);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	states();
	woken("a byte comes", 0, 0, 1, 1);
	woken("room comes", 1, 1, 1, 1);
	woken("the last writer goes", 2, 0, 1, 0);
	woken("the last reader goes", 2, 0, 0, 1);
	woken("the last reader of a full pipe goes", 2, 1, 0, 1);
	time_runs_out();
	return report_status();
}
