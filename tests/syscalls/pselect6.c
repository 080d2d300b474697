/* What do pselect(2) and ppoll(2) answer when a signal comes that they alone let through? */
#include "process.h"
#include <poll.h>
#include <sys/select.h>

static volatile int handled;

static void handler(int signal)
{
	handled++;
}

int main(void)
{
	unsigned long empty = 0;
	struct { const void *set; size_t size; } with = { &empty, 8 }, wrong = { &empty, 4 };
	struct timespec none = { 0, 0 }, soon = { 0, 5000000 }, bad = { 0, 1000000000 };
	struct timespec late = { 100, 0 };
	struct pollfd entry;
	fd_set in;
	int ends[2];

	pipe(ends);
	set_action(SIGUSR1, handler, SA_RESTART);
	block(SIGUSR1);
	kill(getpid(), SIGUSR1);
	FD_ZERO(&in);
	FD_SET(ends[0], &in);
	CALL(pselect6, 4, &in, NULL, NULL, NULL, &with);
	SHOW(handled);
	CHECK(is_blocked(SIGUSR1));
	CHECK(FD_ISSET(ends[0], &in));
	kill(getpid(), SIGUSR1);
	CALL(pselect6, 4, &in, NULL, NULL, &soon, NULL);
	SHOW(soon.tv_nsec);
	SHOW(handled);
	CALL(pselect6, 4, &in, NULL, NULL, &late, &with);
	CHECK(late.tv_sec >= 99 && late.tv_sec <= 100);
	SHOW(handled);
	CALL(pselect6, 4, &in, NULL, NULL, &none, &wrong);
	CALL(pselect6, 4, &in, NULL, NULL, &bad, &with);
	CALL(pselect6, 4, &in, NULL, NULL, &none, 8L);

	entry.fd = ends[0];
	entry.events = POLLIN;
	kill(getpid(), SIGUSR1);
	late.tv_sec = 100;
	CALL(ppoll, &entry, 1L, &late, &empty, 8L);
	SHOW(handled);
	CHECK(is_blocked(SIGUSR1));
	CALL(ppoll, &entry, 1L, &none, NULL, 8L);
	soon.tv_nsec = 5000000;
	CALL(ppoll, &entry, 1L, &soon, NULL, 0L);
	write(ends[1], "x", 1);
	CALL(ppoll, &entry, 1L, NULL, &empty, 8L);
	SHOW(entry.revents);
	/* Something has happened and a signal waits: the first is said. */
	kill(getpid(), SIGUSR1);
	CALL(ppoll, &entry, 1L, NULL, &empty, 8L);
	SHOW(handled);
	CALL(ppoll, &entry, 1L, &none, &empty, 4L);
	CALL(ppoll, &entry, 1L, &bad, &empty, 8L);
	CALL(ppoll, 8L, 1L, &none, NULL, 8L);
	return report_status();
}
