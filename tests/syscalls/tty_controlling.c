/*
 * Who has a controlling terminal, and how does one get it or lose it?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static int in_child(void (*function)(void))
{
	pid_t child = spawn();

	if (!child) {
		function();
		_exit(report_status());
	}
	return reap("child", child);
}

static void by_name(void)
{
	int fd, value;

	/* Any process of the session has it. */
	fd = open("/dev/tty", O_RDWR);
	CHECK(fd > 2);
	CALL(write, fd, "by name\n", 8L);
	CALL_OK(ioctl, fd, TIOCGPGRP, &value);
	CHECK(value == getpgrp());
	CALL_OK(ioctl, fd, TIOCGSID, &value);
	CHECK(value == getsid(0));
	/* It may give it up for itself. */
	CALL(ioctl, fd, TIOCNOTTY);
	CALL(ioctl, fd, TIOCNOTTY);
	CALL(ioctl, fd, TIOCGPGRP, &value);
	CALL(ioctl, fd, TIOCGSID, &value);
	SHOW(open("/dev/tty", O_RDWR));
	CALL(write, fd, "still open\n", 11L);
	/* No leader: it cannot get one. */
	CALL(ioctl, fd, TIOCSCTTY, 0L);
}

static void own_session(void)
{
	int value, fd;

	setsid();
	SHOW(open("/dev/tty", O_RDWR));
	CALL(ioctl, TTY, TIOCGPGRP, &value);
	CALL(ioctl, TTY, TIOCGSID, &value);
	value = getpgrp();
	CALL(ioctl, TTY, TIOCSPGRP, &value);
	/* It is another session's. */
	CALL(ioctl, TTY, TIOCSCTTY, 0L);
	CALL(ioctl, TTY, TIOCNOTTY);
	/* To open it does not steal it either. */
	fd = open("/proc/self/fd/0", O_RDWR);
	if (fd >= 0)
		close(fd);
	SHOW(open("/dev/tty", O_RDWR));
	CALL(write, TTY, "not ours\n", 9L);
	CALL(ioctl, TTY, TCSBRK, 1L);
	CHECK(get_modes().c_line == 0);
}

static void steal(void)
{
	int value;

	setsid();
	CALL(ioctl, TTY, TIOCSCTTY, 1L);
	CALL_OK(ioctl, TTY, TIOCGSID, &value);
	CHECK(value == getpid());
	CALL_OK(ioctl, TTY, TIOCGPGRP, &value);
	CHECK(value == getpid());
	/* Again is no change; and so it is given back. */
	CALL(ioctl, TTY, TIOCSCTTY, 0L);
	set_action(SIGHUP, SIG_IGN, 0);
	CALL(ioctl, TTY, TIOCNOTTY);
	CALL(ioctl, TTY, TIOCGSID, &value);
}

int main(void)
{
	int value;

	CALL(ioctl, TTY, TIOCSCTTY, 0L);
	in_child(by_name);
	in_child(own_session);
	CALL_OK(ioctl, TTY, TIOCGSID, &value);
	CHECK(value == getpid());
	in_child(steal);
	CALL(ioctl, TTY, TIOCGSID, &value);
	SHOW(open("/dev/tty", O_RDWR));
	CALL(ioctl, TTY, TIOCSCTTY, 0L);
	CALL_OK(ioctl, TTY, TIOCGPGRP, &value);
	CHECK(value == getpgrp());
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
