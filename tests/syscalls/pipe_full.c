/* How much does a pipe take, and what can F_SETPIPE_SZ change? */
#include "report.h"
#include <sys/ioctl.h>

static char buffer[40 * PAGE];

static void show_bytes(int fd)
{
	int bytes = -1;

	ioctl(fd, FIONREAD, &bytes);
	say("%d bytes\n", bytes);
}

static int drain(int fd)
{
	ssize_t n;
	int total = 0;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		total += n;
	return total;
}

static void fill(const int *fds, long size)
{
	int writes = 0;

	while (write(fds[1], buffer, size) == size)
		writes++;
	say("%d writes of %ld, then %s, ", writes, size, strerrorname_np(errno));
	show_bytes(fds[0]);
}

int main(void)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK))
		die("pipe2");
	CALL(fcntl, fds[0], F_GETPIPE_SZ);
	CALL(fcntl, fds[1], F_GETPIPE_SZ);
	static const long sizes[] = { 50, 100, 2048, 2049, 4095, 4096, 4097, 5000, 8192, 65536 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(fds, sizes[i]);
		SHOW(drain(fds[0]));
	}
	/* Partly done. */
	CALL(write, fds[1], buffer, 65536L + 1);
	CALL(write, fds[1], buffer, 1L);
	CALL(read, fds[0], buffer, PAGE - 1);
	CALL(write, fds[1], buffer, 1L);
	CALL(read, fds[0], buffer, 1L);
	CALL(write, fds[1], buffer, 2 * PAGE);
	SHOW(drain(fds[0]));
	CALL(write, fds[1], buffer, 100L);
	CALL(write, fds[1], buffer, 65536L + 4096);
	show_bytes(fds[0]);
	SHOW(drain(fds[0]));

	CALL(fcntl, fds[0], F_SETPIPE_SZ, 0);
	CALL(fcntl, fds[0], F_SETPIPE_SZ, 1);
	fill(fds, 100);
	CALL(fcntl, fds[1], F_SETPIPE_SZ, 4097);
	CALL(write, fds[1], buffer, 100L);
	SHOW(drain(fds[0]));
	CALL(fcntl, fds[1], F_SETPIPE_SZ, 100000);
	fill(fds, 4096);
	CALL(read, fds[0], buffer, 20 * PAGE);
	CALL(fcntl, fds[1], F_SETPIPE_SZ, 8 * PAGE);
	CALL(fcntl, fds[1], F_SETPIPE_SZ, 15 * PAGE);
	CALL(write, fds[1], "behind", 6L);
	show_bytes(fds[0]);
	CALL(fcntl, fds[0], F_GETPIPE_SZ);
	SHOW(drain(fds[0]));
	CALL(fcntl, fds[1], F_SETPIPE_SZ, 1 << 20);
	fill(fds, 65536);
	SHOW(drain(fds[0]));
	CALL(fcntl, fds[1], F_SETPIPE_SZ, (1U << 31) + 1);
	CALL(fcntl, fds[1], F_SETPIPE_SZ, -1);
	CALL(fcntl, fds[1], F_GETPIPE_SZ);
	CALL(fcntl, open("/dev/null", O_RDWR), F_SETPIPE_SZ, 4096);
	CALL(fcntl, open("/tmp", O_RDONLY), F_GETPIPE_SZ);
	CALL(fcntl, open("/tmp", O_PATH), F_GETPIPE_SZ);
	CALL(fcntl, 999, F_GETPIPE_SZ);
	return report_status();
}
