/* What do pipe2(2)'s flags do, and what is left behind when it fails? */
#include "report.h"
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char buffer[2 * PAGE];

static void close_both(const int *fds)
{
	close(fds[0]);
	close(fds[1]);
}

static void flags(void)
{
	int fds[2];

	CALL(pipe2, fds, 0);
	close_both(fds);
	CALL(pipe2, fds, O_CLOEXEC);
	CALL(fcntl, fds[0], F_GETFD);
	CALL(fcntl, fds[1], F_GETFD);
	CALL(fcntl, fds[0], F_GETFL);
	close_both(fds);
	CALL(pipe2, fds, O_NONBLOCK);
	CALL(fcntl, fds[0], F_GETFD);
	SHOW(fcntl(fds[0], F_GETFL) == (O_RDONLY | O_NONBLOCK));
	SHOW(fcntl(fds[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	CALL(read, fds[0], buffer, 1L);
	close_both(fds);
	CALL(pipe2, fds, O_DIRECT | O_CLOEXEC);
	SHOW(fcntl(fds[0], F_GETFL) == O_RDONLY);
	SHOW(fcntl(fds[1], F_GETFL) == (O_WRONLY | O_DIRECT));
	close_both(fds);
	CALL(pipe2, fds, O_RDWR);
	CALL(pipe2, fds, O_APPEND);
	CALL(pipe2, fds, O_SYNC);
	CALL(pipe2, fds, -1);
	CALL(pipe2, NULL, -1);
}

static void show_read(int fd, long size)
{
	ssize_t n;

	memset(buffer, 0, sizeof(buffer));
	n = syscall(SYS_read, fd, buffer, size);
	say("read %ld: %ld \"%.20s\"\n", size, (long)n, buffer);
}

static void show_bytes(int fd)
{
	int bytes = -1;

	ioctl(fd, FIONREAD, &bytes);
	say("%d bytes\n", bytes);
}

/* Each write is a packet, a read takes one, and what it has no room for is lost. */
static void packets(void)
{
	int fds[2];

	CALL(pipe2, fds, O_DIRECT | O_NONBLOCK);
	CALL(write, fds[1], "first", 5L);
	CALL(write, fds[1], "second", 6L);
	CALL(write, fds[1], "", 0L);
	CALL(write, fds[1], "third", 5L);
	show_bytes(fds[0]);
	show_read(fds[0], 100);
	show_read(fds[0], 3);
	show_read(fds[0], 100);
	show_read(fds[0], 100);
	memset(buffer, 'p', sizeof(buffer));
	CALL(write, fds[1], buffer, PAGE + 100);
	CALL(read, fds[0], buffer, sizeof(buffer));
	CALL(read, fds[0], buffer, sizeof(buffer));

	/* The flag belongs to the writer, and can come and go. */
	CALL(fcntl, fds[1], F_SETFL, 0);
	CALL(write, fds[1], "a", 1L);
	CALL(write, fds[1], "b", 1L);
	CALL(fcntl, fds[1], F_SETFL, O_DIRECT);
	CALL(write, fds[1], "c", 1L);
	CALL(fcntl, fds[1], F_SETFL, 0);
	CALL(write, fds[1], "d", 1L);
	CALL(write, fds[1], "e", 1L);
	show_read(fds[0], 100);
	show_read(fds[0], 100);
	close_both(fds);
}

static int lowest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void nothing_leaks(void)
{
	struct rlimit limit, old;
	int fds[2] = { -7, -8 }, before = lowest();

	getrlimit(RLIMIT_NOFILE, &old);
	CALL(pipe2, NULL, 0);
	SHOW(lowest() - before);
	for (int room = 0; room < 3; room++) {
		limit = old;
		limit.rlim_cur = before + room;
		setrlimit(RLIMIT_NOFILE, &limit);
		say("room for %d\n", room);
		if (CALL(pipe2, fds, 0) == 0)
			close_both(fds);
		else
			CHECK(fds[0] == -7 && fds[1] == -8);
		setrlimit(RLIMIT_NOFILE, &old);
		SHOW(lowest() - before);
	}
	for (int i = 0; i < 1000; i++)
		syscall(SYS_pipe2, NULL, 0);
	SHOW(lowest() - before);
}

int main(void)
{
	flags();
	packets();
	nothing_leaks();
	return report_status();
}
