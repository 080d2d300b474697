/* When does select(2) end, and what does it leave in its sets? */
#include "process.h"
#include <sys/select.h>

static fd_set in, out, except;

static void show_sets(int n)
{
	for (int fd = 0; fd < n; fd++)
		say("%d:%s%s%s ", fd, FD_ISSET(fd, &in) ? "r" : "-", FD_ISSET(fd, &out) ? "w" : "-",
		    FD_ISSET(fd, &except) ? "x" : "-");
	say("\n");
}

int main(void)
{
	struct timeval soon = { 0, 20000 }, none = { 0, 0 }, bad = { -1, 0 }, late = { 100, 0 };
	int ends[2], other[2];
	pid_t child;

	/* The descriptors are 3 to 6. */
	pipe(ends);
	pipe(other);
	CHECK(ends[0] == 3 && other[1] == 6);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&except);
	FD_SET(3, &in);
	FD_SET(4, &out);
	FD_SET(5, &in);
	FD_SET(3, &except);
	CALL(select, 7, &in, &out, &except, &none);
	show_sets(7);

	/* Nothing: until the time is over, and the rest of it is nothing. */
	FD_ZERO(&in);
	FD_SET(3, &in);
	CALL(select, 7, &in, NULL, NULL, &soon);
	show_sets(7);
	SHOW(soon.tv_sec);
	SHOW(soon.tv_usec);

	/* Something, from another process. */
	child = spawn();
	if (!child) {
		pause_ms(5);
		write(4, "x", 1);
		_exit(0);
	}
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(3, &in);
	FD_SET(5, &in);
	CALL(select, 6, &in, &out, NULL, &late);
	show_sets(6);
	CHECK(late.tv_sec >= 99 && late.tv_sec <= 100);
	reap("child", child);

	/* What is behind the first number is not looked at. */
	FD_SET(3, &in);
	CALL(select, 3, &in, NULL, NULL, &none);
	CALL(select, 0, NULL, NULL, NULL, &none);

	/* The end of a pipe can be read; one without a reader written. */
	close(6);
	FD_ZERO(&in);
	FD_SET(5, &in);
	CALL(select, 6, &in, NULL, NULL, NULL);
	show_sets(6);

	FD_ZERO(&in);
	FD_SET(6, &in);
	CALL(select, 7, &in, NULL, NULL, &none);
	FD_ZERO(&in);
	CALL(select, -1, &in, NULL, NULL, &none);
	CALL(select, 1, &in, NULL, NULL, &bad);
	CALL(select, 4, -8L, NULL, NULL, &none);
	CALL(select, 4, &in, NULL, NULL, -8L);
	none.tv_usec = 2000000;
	bad.tv_sec = 0;
	bad.tv_usec = -1;
	CALL(select, 1, &in, NULL, NULL, &bad);
	return report_status();
}
