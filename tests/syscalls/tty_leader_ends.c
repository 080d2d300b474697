/*
 * Who is told when the leader of a session ends, and what is left of its
 * terminal?  Nobody can say anything afterwards but by the exit status.
 *
 * at "go": type "\r"
 */
#include "process.h"
#include "terminal.h"

static volatile int signals;

static void handler(int signal)
{
	signals |= signal == SIGHUP ? 1 : 2;
}

int main(void)
{
	volatile int *shared = share_pages(1);
	pid_t leader;
	int wrong = 0, status;

	say("go");
	show_read(TTY, 100);
	/* Give the terminal up, for another session to take. */
	set_action(SIGHUP, SIG_IGN, 0);
	ioctl(TTY, TIOCNOTTY);
	leader = spawn();
	if (!leader) {
		pid_t worker;

		setsid();
		if (ioctl(TTY, TIOCSCTTY, 0L))
			_exit(1);
		worker = spawn();
		if (!worker) {
			/* A job in the foreground. */
			int value, fd;

			set_action(SIGHUP, handler, SA_RESTART);
			set_action(SIGCONT, handler, SA_RESTART);
			setpgid(0, 0);
			set_action(SIGTTOU, SIG_IGN, 0);
			value = getpgrp();
			if (ioctl(TTY, TIOCSPGRP, &value))
				shared[0] |= 8;
			shared[1] = 1;
			while (!(signals & 1))
				pause_ms(1);
			shared[0] |= signals;
			fd = open("/dev/tty", O_RDWR);
			if (fd != -1 || errno != ENXIO)
				shared[0] |= 16;
			shared[1] = 2;
			_exit(0);
		}
		wait_for(&shared[1], 1);
		_exit(0);
	}
	if (waitpid(leader, &status, 0) != leader || status)
		wrong |= 32;
	wait_for(&shared[1], 2);
	return wrong | shared[0];
}
