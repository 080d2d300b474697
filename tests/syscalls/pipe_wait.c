/* Do readers and writers of a pipe wait for each other, and wake each other? */
#include "report.h"
#include <sys/ioctl.h>
#include <sys/wait.h>

#define MILLISECOND 1000000L

static char buffer[300000];

static void sleep_ms(long ms)
{
	struct timespec time = { 0, ms * MILLISECOND };

	nanosleep(&time, NULL);
}

static void make_pipe(int *fds)
{
	if (pipe(fds))
		die("make a pipe");
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	return pid;
}

static void finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	say("child: %#x\n", status);
}

/* Read to the end; check the bytes, which count from 0, and return their number. */
static long read_to_end(int fd, size_t size)
{
	static unsigned char in[100000];
	long total = 0;
	ssize_t n;

	while ((n = read(fd, in, size)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (in[i] != (unsigned char)((total + i) % 251))
				return -1000000 - total - i;
		total += n;
	}
	return n < 0 ? -1 : total;
}

static void reader_waits(void)
{
	int fds[2], mine[2];
	int64_t before = clock_now(CLOCK_MONOTONIC);
	char in[10] = "";
	pid_t pid;

	make_pipe(fds);
	make_pipe(mine);
	pid = start();
	if (!pid) {
		char c = 0;

		sleep_ms(30);
		if (write(fds[1], "woken", 5) != 5 || read(mine[0], &c, 1) != 1)
			_exit(1);
		_exit(c);
	}
	CALL(read, fds[0], in, 10L);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 30 * MILLISECOND);
	say("\"%s\"\n", in);
	CALL(write, mine[1], "\x2a", 1L);
	finish(pid);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(mine[i]);
	}
}

/* One write that is much longer than the pipe, and reads of all sizes. */
static void writer_waits(size_t size)
{
	int fds[2];
	pid_t pid;
	long total;

	make_pipe(fds);
	pid = start();
	if (!pid) {
		close(fds[0]);
		_exit(write(fds[1], buffer, sizeof(buffer)) != sizeof(buffer));
	}
	close(fds[1]);
	total = read_to_end(fds[0], size);
	say("reads of %zu: %ld\n", size, total);
	finish(pid);
	close(fds[0]);
}

static void writer_waits_for_one_byte(void)
{
	static char in[PAGE];
	int fds[2], bytes;
	pid_t pid;

	make_pipe(fds);
	CALL(write, fds[1], buffer, 65536L);
	pid = start();
	if (!pid) {
		close(fds[0]);
		_exit(write(fds[1], "x", 1) != 1);
	}
	sleep_ms(20);
	SHOW(waitpid(pid, NULL, WNOHANG));
	CALL(read, fds[0], in, PAGE - 1);
	sleep_ms(20);
	SHOW(waitpid(pid, NULL, WNOHANG));
	CALL(read, fds[0], in, 1L);
	finish(pid);
	ioctl(fds[0], FIONREAD, &bytes);
	SHOW(bytes);
	close(fds[0]);
	close(fds[1]);
}

static void more_room_wakes_a_writer(void)
{
	int fds[2];
	pid_t pid;

	make_pipe(fds);
	CALL(write, fds[1], buffer, 65536L);
	pid = start();
	if (!pid)
		_exit(write(fds[1], buffer, 8192) != 8192);
	sleep_ms(20);
	SHOW(waitpid(pid, NULL, WNOHANG));
	CALL(fcntl, fds[0], F_SETPIPE_SZ, 131072);
	finish(pid);
	close(fds[0]);
	close(fds[1]);
}

/* The end comes when the last of three writers has gone, by exit or by close. */
static void end_of_file(void)
{
	int fds[2];
	pid_t pids[2];
	char c;

	make_pipe(fds);
	for (int i = 0; i < 2; i++) {
		pids[i] = start();
		if (!pids[i]) {
			sleep_ms(20 + 20 * i);
			if (i == 0)
				write(fds[1], "1", 1);
			_exit(0);
		}
	}
	close(fds[1]);
	CALL(read, fds[0], &c, 1L);
	CALL(read, fds[0], &c, 1L);
	CALL(read, fds[0], &c, 1L);
	finish(pids[0]);
	finish(pids[1]);
	close(fds[0]);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(buffer); i++)
		buffer[i] = i % 251;
	reader_waits();
	for (size_t size = 1000; size <= 100000; size *= 10)
		writer_waits(size);
	writer_waits(4095);
	writer_waits(4097);
	writer_waits(65536);
	writer_waits_for_one_byte();
	more_room_wakes_a_writer();
	end_of_file();
	return report_status();
}
