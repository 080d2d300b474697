/* A read or write that waits goes on with its pipe, whatever happens to its descriptor meanwhile. */
#include "report.h"
#include <sched.h>
#include <sys/wait.h>

static char buffer[70000];

/* A process with the same descriptors. */
static pid_t start(void)
{
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0L, NULL, NULL, 0L);

	if (pid < 0)
		die("clone");
	return pid;
}

static void pause_a_little(void)
{
	struct timespec time = { 0, 100000000 };

	nanosleep(&time, NULL);
}

static void finish(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	SHOW(status);
}

/* Another pipe takes the reader's number while the reader waits. */
static void read_goes_on(void)
{
	int fds[2], others[2];
	char in[10] = "";
	pid_t pid;

	if (pipe(fds))
		die("make a pipe");
	pid = start();
	if (!pid) {
		pause_a_little();
		close(fds[0]);
		if (pipe(others) || others[0] != fds[0])
			_exit(1);
		write(others[1], "theirs", 6);
		_exit(write(fds[1], "ours", 4) != 4);
	}
	CALL(read, fds[0], in, 10L);
	say("\"%s\"\n", in);
	finish(pid);
	memset(in, 0, sizeof(in));
	CALL(read, fds[0], in, 10L);
	say("\"%s\"\n", in);
	signal(SIGPIPE, SIG_IGN);
	CALL(write, fds[1], "x", 1L);
	CALL(close_range, 3, -1, 0);
}

static void write_goes_on(void)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		die("make a pipe");
	pid = start();
	if (!pid) {
		long total = 0;
		ssize_t n;

		pause_a_little();
		close(fds[1]);
		while ((n = read(fds[0], buffer, sizeof(buffer))) > 0)
			total += n;
		_exit(total != sizeof(buffer));
	}
	CALL(write, fds[1], buffer, 70000L);
	finish(pid);
	CALL(write, fds[1], "x", 1L);
	CALL(close_range, 3, -1, 0);
}

/* The last descriptors go while a reader waits; only a signal can end that. */
static void on_signal(int number)
{
	(void)number;
}

static void all_closed(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pid_t me = getpid(), pid;
	int fds[2];

	sigaction(SIGUSR1, &action, NULL);
	if (pipe(fds))
		die("make a pipe");
	pid = start();
	if (!pid) {
		pause_a_little();
		close(fds[0]);
		pause_a_little();
		kill(me, SIGUSR1);
		_exit(0);
	}
	CALL(read, fds[0], buffer, 1L);
	CALL(read, fds[0], buffer, 1L);
	finish(pid);
	CALL(close_range, 3, -1, 0);
}

int main(void)
{
	read_goes_on();
	write_goes_on();
	all_closed();
	return report_status();
}
