/*
 * What may a process do in the background that nobody could continue?
 *
 * at "1?": type "\032x\r"
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void in_background(void)
{
	struct termios modes = get_modes();
	int value = getpgrp();

	show_read(TTY, 100);
	show("TCSETS", ioctl(TTY, TCSETS, &modes));
	show("TIOCSPGRP", ioctl(TTY, TIOCSPGRP, &value));
	show("TCFLSH", ioctl(TTY, TCFLSH, (long)TCIFLUSH));
	CALL(write, 1, "a write\n", 8L);
	set_action(SIGTTOU, SIG_IGN, 0);
	show("TCSETS, ignored", ioctl(TTY, TCSETS, &modes));
}

int main(void)
{
	volatile int *ready = share_pages(1);
	pid_t child, grandchild;

	/* Our own group is orphaned, for our parent is in another session: ^Z does nothing. */
	say("1?");
	show_read(TTY, 100);

	/* So is the group of a child whose parent, another one of the group, has ended. */
	child = spawn();
	if (!child) {
		setpgid(0, 0);
		grandchild = spawn();
		if (!grandchild) {
			wait_for(&ready[0], 1);
			in_background();
			ready[1] = 1;
			_exit(0);
		}
		_exit(0);
	}
	reap("child", child);
	ready[0] = 1;
	wait_for(&ready[1], 1);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
