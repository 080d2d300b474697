/*
 * How is output stopped and started?
 *
 * at "1?": type "\023"
 * at "": type "typed\r"
 * at "": type "\021"
 * at "2?": type "\023"
 * at "": type "x"
 * at "3?": type "\023ab\021\r"
 * at "4?": type "\023"
 * at "": type "\003"
 * at "5?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void handler(int signal)
{
}

int main(void)
{
	set_action(SIGINT, handler, SA_RESTART);
	/* The line is echoed when output goes on. */
	say("1?");
	show_read(TTY, 100);
	/* With IXANY by any key. */
	CHANGE_MODES(iflag, IXANY, 0);
	say("2?");
	pause_ms(20);
	say("goes on\n");
	CALL(ioctl, TTY, TCFLSH, (long)TCIFLUSH);
	/* Without IXON they are characters. */
	CHANGE_MODES(iflag, 0, IXON | IXANY);
	say("3?");
	show_read(TTY, 100);
	/* A signal starts it again. */
	CHANGE_MODES(iflag, IXON, 0);
	say("4?");
	pause_ms(20);
	say("again\n");

	CALL(ioctl, TTY, TCXONC, (long)TCOON);
	CALL(ioctl, TTY, TCXONC, 9L);
	say("5?");
	show_read(TTY, 100);
	return report_status();
}
