/* Which events does poll(2) report for files and bad descriptors, and how long does it wait? */
#include "report.h"
#include <poll.h>

#define ALL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLWRNORM)
#define MILLISECOND 1000000LL

static void show_events(const char *what, int fd, short events)
{
	struct pollfd poll = { fd, events, -1 };
	long ready = syscall(SYS_poll, &poll, 1, 0);

	say("%s: %ld, events %#x\n", what, ready, (unsigned short)poll.revents);
}

int main(void)
{
	struct pollfd polls[3];
	int64_t before;
	int fd;

	enter_scratch("poll");
	fd = make_file("file", "content");
	show_events("file, all", fd, ALL_EVENTS);
	show_events("file, in", fd, POLLIN);
	show_events("file, out", fd, POLLOUT);
	show_events("file, none", fd, 0);
	show_events("file for reading, out", open("file", O_RDONLY), POLLOUT);
	show_events("directory", open(".", O_RDONLY), ALL_EVENTS);
	show_events("null", open("/dev/null", O_RDWR), ALL_EVENTS);
	show_events("zero", open("/dev/zero", O_RDWR), ALL_EVENTS);
	show_events("path", open("file", O_PATH), ALL_EVENTS);
	show_events("negative", -1, ALL_EVENTS);
	show_events("not open", 9999, ALL_EVENTS);
	show_events("not open, none", 9999, 0);

	/* Some ready, some not; the time-out does not matter then. */
	polls[0] = (struct pollfd){ -5, POLLIN, -1 };
	polls[1] = (struct pollfd){ fd, POLLIN, -1 };
	polls[2] = (struct pollfd){ 9999, POLLIN, -1 };
	CALL(poll, polls, 3, -1);
	say("%#x %#x %#x\n", polls[0].revents, polls[1].revents, polls[2].revents);

	before = clock_now(CLOCK_MONOTONIC);
	CALL(poll, NULL, 0, 20);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 20 * MILLISECOND);
	polls[0] = (struct pollfd){ -1, POLLIN, -1 };
	before = clock_now(CLOCK_MONOTONIC);
	CALL(poll, polls, 1, 20);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 20 * MILLISECOND);
	SHOW(polls[0].revents);
	CALL(poll, NULL, 0, 0);

	CALL(poll, NULL, 1, 0);
	CALL(poll, polls, -1, 0);
	CALL(poll, polls, 1 << 30, 0);
	unlink("file");
	leave_scratch();
	return report_status();
}
