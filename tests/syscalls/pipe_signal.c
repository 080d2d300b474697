/* What do signals do to readers and writers of a pipe, and SIGPIPE to a writer nobody reads? */
#include "report.h"
#include <sys/ioctl.h>
#include <sys/wait.h>

static char buffer[100000];
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	(void)number;
	caught++;
}

static void catch_signal(int number, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(number, &action, NULL);
}

static void send_later(pid_t to, int number, long ms)
{
	struct timespec time = { 0, ms * 1000000 };

	nanosleep(&time, NULL);
	kill(to, number);
}

static void make_pipe(int *fds)
{
	if (pipe(fds))
		die("make a pipe");
}

static void close_both(const int *fds)
{
	close(fds[0]);
	close(fds[1]);
}

static void nobody_reads(void)
{
	int fds[2], status;

	make_pipe(fds);
	CALL(write, fds[1], "left", 4L);
	close(fds[0]);
	if (!fork()) {
		write(fds[1], "x", 1);
		_exit(3);
	}
	wait(&status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	CALL(write, fds[1], "x", 1L);
	CALL(write, fds[1], "", 0L);
	CALL(write, fds[1], NULL, 1L);
	catch_signal(SIGPIPE, 0);
	caught = 0;
	CALL(write, fds[1], "x", 1L);
	SHOW(caught);
	signal(SIGPIPE, SIG_DFL);
	close(fds[1]);
}

/* The reader goes while a writer waits for room. */
static void reader_goes(size_t before)
{
	int fds[2], status;
	ssize_t n;

	make_pipe(fds);
	write(fds[1], buffer, before);
	if (!fork()) {
		struct timespec time = { 0, 100000000 };

		close(fds[1]);
		nanosleep(&time, NULL);
		_exit(0);
	}
	close(fds[0]);
	catch_signal(SIGPIPE, SA_RESTART);
	caught = 0;
	n = CALL(write, fds[1], buffer, 80000L);
	SHOW(n);
	SHOW(caught);
	signal(SIGPIPE, SIG_DFL);
	wait(&status);
	close(fds[1]);
}

static void read_interrupted(int flags)
{
	int fds[2], status;
	pid_t me = getpid();

	make_pipe(fds);
	catch_signal(SIGUSR1, flags);
	caught = 0;
	if (!fork()) {
		send_later(me, SIGUSR1, 100);
		if (flags & SA_RESTART) {
			send_later(me, SIGUSR1, 100);
			write(fds[1], "late", 4);
		}
		_exit(0);
	}
	CALL(read, fds[0], buffer, 10L);
	SHOW(caught);
	wait(&status);
	close_both(fds);
}

/* What is written already counts; what is not is not tried again. */
static void write_interrupted(size_t before, size_t size, int flags)
{
	int fds[2], bytes, status;
	pid_t me = getpid(), child;

	make_pipe(fds);
	write(fds[1], buffer, before);
	catch_signal(SIGUSR1, flags);
	caught = 0;
	child = fork();
	if (!child) {
		send_later(me, SIGUSR1, 100);
		if (flags & SA_RESTART && before == 65536) {
			struct timespec time = { 0, 100000000 };

			nanosleep(&time, NULL);
			for (size_t n = 0; n < size; n += 4096)
				read(fds[0], buffer, 4096);
		}
		_exit(0);
	}
	CALL(write, fds[1], buffer, size);
	SHOW(caught);
	waitpid(child, &status, 0);
	ioctl(fds[0], FIONREAD, &bytes);
	SHOW(bytes);
	close_both(fds);
}

static void killed(int reads)
{
	int fds[2], status;
	pid_t child;

	make_pipe(fds);
	child = fork();
	if (!child) {
		if (reads)
			read(fds[0], buffer, 1);
		else
			write(fds[1], buffer, sizeof(buffer));
		_exit(0);
	}
	send_later(child, SIGKILL, 100);
	waitpid(child, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ioctl(fds[0], FIONREAD, &status);
	SHOW(status);
	close_both(fds);
}

int main(void)
{
	nobody_reads();
	reader_goes(65536);
	reader_goes(0);
	reader_goes(10);
	read_interrupted(0);
	read_interrupted(SA_RESTART);
	write_interrupted(65536, 1, 0);
	write_interrupted(65536, 8192, SA_RESTART);
	write_interrupted(0, 80000, 0);
	write_interrupted(0, 80000, SA_RESTART);
	write_interrupted(5, 70000, SA_RESTART);
	killed(1);
	killed(0);
	return report_status();
}
