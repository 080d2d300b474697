/*
 * What does vhangup(2) leave?  Nobody can be told but by the exit status.
 *
 * at "go": type "typed\r"
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
	int wrong = 0, value, status;
	struct termios modes;
	pid_t child;
	char c;

	set_action(SIGHUP, handler, SA_RESTART);
	set_action(SIGCONT, handler, SA_RESTART);
	CHANGE_MODES(lflag, 0, ECHO);
	say("go");
	while (!input_queue())
		pause_ms(1);
	/* A process without it hangs up nothing; nor does one who may not. */
	child = spawn();
	if (!child) {
		setsid();
		_exit(syscall(SYS_vhangup));
	}
	if (waitpid(child, &status, 0) != child || status)
		wrong |= 1;
	child = spawn();
	if (!child) {
		setuid(1000);
		_exit(syscall(SYS_vhangup) == -1 && errno == EPERM);
	}
	if (waitpid(child, &status, 0) != child || status != 1 << 8)
		wrong |= 1;
	if (input_queue() != 6 || signals)
		wrong |= 1;

	if (syscall(SYS_vhangup))
		wrong |= 1;
	if (signals != 3)
		wrong |= 2;
	if (read(TTY, &c, 1) != 0)
		wrong |= 4;
	if (write(1, "x", 1) != -1 || errno != EIO)
		wrong |= 8;
	if (ioctl(TTY, TCGETS, &modes) != -1 || errno != EIO)
		wrong |= 16;
	if (open("/dev/tty", O_RDWR) != -1 || errno != ENXIO)
		wrong |= 32;
	if (syscall(SYS_vhangup))
		wrong |= 64;
	return wrong;
}
