/*
 * Which group can be made the foreground one?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static long set_foreground(pid_t group)
{
	int value = group;

	return syscall(SYS_ioctl, TTY, TIOCSPGRP, &value);
}

static pid_t foreground(void)
{
	int value = -1;

	ioctl(TTY, TIOCGPGRP, &value);
	return value;
}

int main(void)
{
	pid_t child, other;
	int null, value;

	child = spawn();
	if (!child)
		for (;;)
			pause_ms(10000);
	other = spawn();
	if (!other) {
		setsid();
		for (;;)
			pause_ms(10000);
	}
	while (getsid(other) != other)
		pause_ms(1);

	/* No group yet, then one. */
	SHOW(set_foreground(child));
	CHECK(foreground() == child);
	setpgid(child, child);
	set_action(SIGTTOU, SIG_IGN, 0);
	SHOW(set_foreground(child));
	CHECK(foreground() == child);
	SHOW(set_foreground(getpgrp()));
	CHECK(foreground() == getpgrp());

	show("another session", set_foreground(other));
	show("nobody", set_foreground(0x3fffffff));
	show("negative", set_foreground(-getpgrp()));
	show("zero", set_foreground(0));
	CALL(ioctl, TTY, TIOCSPGRP, NULL);
	CALL(ioctl, TTY, TIOCGPGRP, NULL);
	null = open("/dev/null", O_RDWR);
	CALL(ioctl, null, TIOCGPGRP, &value);
	CALL(ioctl, null, TIOCSPGRP, &value);
	kill(child, SIGKILL);
	kill(other, SIGKILL);
	reap("child", child);
	reap("other", other);
	/* A group that is gone. */
	show("gone", set_foreground(child));
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
