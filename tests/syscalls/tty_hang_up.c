/*
 * What is left of a terminal when its other end is gone?
 *
 * at "wait": hang up
 *
 * Nobody can be told but by the exit status.
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
	struct pollfd entry = { .fd = TTY, .events = POLLIN | POLLOUT };
	struct termios modes;
	int wrong = 0, value = getpgrp();
	char c;

	set_action(SIGHUP, handler, SA_RESTART);
	set_action(SIGCONT, handler, SA_RESTART);
	write(1, "wait", 4);
	/*
	 * The read ends, with 0 at a line and with EIO at a pseudo-terminal; then
	 * everything says that it is over.
	 */
	if (read(TTY, &c, 1) > 0)
		wrong |= 1;
	while (signals != 3)
		pause_ms(1);
	if (read(TTY, &c, 1) != 0)
		wrong |= 2;
	if (write(1, "x", 1) != -1 || errno != EIO)
		wrong |= 4;
	if (ioctl(TTY, TCGETS, &modes) != -1 || errno != EIO)
		wrong |= 8;
	if (ioctl(TTY, TIOCSPGRP, &value) != -1 || errno != ENOTTY)
		wrong |= 16;
	if (poll(&entry, 1, -1) != 1 ||
	    entry.revents != (POLLIN | POLLOUT | POLLERR | POLLHUP))
		wrong |= 32;
	if (open("/dev/tty", O_RDWR) != -1 || errno != ENXIO)
		wrong |= 64;
	return wrong;
}
