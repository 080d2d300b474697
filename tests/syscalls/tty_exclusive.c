/*
 * Who may open a terminal that is in use?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void open_it(const char *who, uid_t uid)
{
	pid_t child = spawn();

	if (!child) {
		int fd;

		setuid(uid);
		fd = open("/dev/tty", O_RDWR);
		say("%s: %s\n", who, fd >= 0 ? "yes" : strerrorname_np(errno));
		_exit(0);
	}
	reap(who, child);
}

int main(void)
{
	int value = 9;

	open_it("root", 0);
	open_it("another", 1000);
	CALL(ioctl, TTY, TIOCGEXCL, &value);
	SHOW(value);
	CALL(ioctl, TTY, TIOCEXCL);
	CALL(ioctl, TTY, TIOCGEXCL, &value);
	SHOW(value);
	open_it("root", 0);
	open_it("another", 1000);
	CALL(ioctl, TTY, TIOCNXCL);
	open_it("another", 1000);

	/* There is one line discipline. */
	CALL(ioctl, TTY, TIOCGETD, &value);
	SHOW(value);
	CALL(ioctl, TTY, TIOCSETD, &value);
	value = 99;
	CALL(ioctl, TTY, TIOCSETD, &value);
	SHOW(isatty(TTY));
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
