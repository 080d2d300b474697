/* Which descriptors does close_range(2) close, or mark, and for whom? */
#include "report.h"
#include <linux/close_range.h>
#include <sched.h>
#include <sys/wait.h>

static void open_to(int last)
{
	for (int fd = 3; fd <= last; fd++)
		if (dup2(0, fd) != fd)
			die("open descriptors");
}

/* One character for each: open, open until exec, closed. */
static void show_descriptors(const char *when)
{
	char line[41] = "";

	for (int fd = 0; fd < 40; fd++) {
		int flags = fcntl(fd, F_GETFD);

		line[fd] = flags < 0 ? '.' : flags & FD_CLOEXEC ? 'e' : 'o';
	}
	say("%-24s %s\n", when, line);
}

static void shared(unsigned int flags)
{
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0L, NULL, NULL, 0L);
	int status;

	if (!pid)
		_exit(syscall(SYS_close_range, 10, 20, flags) != 0 ||
		      (fcntl(10, F_GETFD) == -1) == !!(flags & CLOSE_RANGE_CLOEXEC));
	waitpid(pid, &status, 0);
	SHOW(status);
	show_descriptors("shared");
	open_to(30);
}

/* A descriptor above the first 64, and one that the marks of a small table do not reach. */
static void many(void)
{
	dup2(0, 200);
	dup2(0, 150);
	CALL(close_range, 100, 180, 0);
	SHOW(fcntl(150, F_GETFD));
	SHOW(fcntl(200, F_GETFD));
	CALL(close_range, 150, -1, CLOSE_RANGE_CLOEXEC);
	SHOW(fcntl(200, F_GETFD));
	SHOW(dup2(0, 150));
	SHOW(fcntl(150, F_GETFD));
	CALL(close_range, 64, -1, CLOSE_RANGE_UNSHARE);
	SHOW(fcntl(200, F_GETFD));
}

int main(void)
{
	open_to(30);
	show_descriptors("before");
	CALL(close_range, 10, 12, 0);
	show_descriptors("10 to 12");
	SHOW(dup(0));
	CALL(close_range, 12, 12, 0);
	CALL(close_range, 31, 100, 0);
	CALL(close_range, 20, 24, CLOSE_RANGE_CLOEXEC);
	show_descriptors("marked 20 to 24");
	CALL(close_range, 25, -1, 0);
	show_descriptors("from 25");
	SHOW(dup2(0, 22));
	show_descriptors("22 again");
	CALL(close_range, 5, 4, 0);
	CALL(close_range, 5, 5, 1);
	CALL(close_range, 5, 5, 8);
	CALL(close_range, 5, 5, -1);
	CALL(close_range, -1, -1, 0);
	open_to(30);
	shared(0);
	shared(CLOSE_RANGE_UNSHARE);
	shared(CLOSE_RANGE_CLOEXEC);
	shared(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE);
	many();
	CALL(close_range, 3, -1, CLOSE_RANGE_UNSHARE);
	show_descriptors("from 3");
	return report_status();
}
