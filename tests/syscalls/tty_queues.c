/*
 * How much is there to read, and how is it forgotten?
 *
 * at "1?": type "half a line"
 * at "half a line": type ", whole\r"
 * at "2?": type "one\004two\r\004rest"
 * at "3?": type "flushed\r"
 * at "4?": type "kept\r"
 * at "5?": type "\r"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	int out = -1;

	say("1?");
	while (!input_queue())
		pause_ms(1);
	SHOW(input_queue());
	show_read(TTY, 5);
	SHOW(input_queue());
	show_read(TTY, 100);
	SHOW(input_queue());

	CHANGE_MODES(lflag, 0, ECHO);
	say("2?");
	/* Marks of the end of file are not counted. */
	while (input_queue() != 7)
		pause_ms(1);
	show_read(TTY, 100);
	SHOW(input_queue());
	show_read(TTY, 100);
	SHOW(input_queue());
	show_read(TTY, 100);
	CALL(ioctl, TTY, TCFLSH, (long)TCIFLUSH);

	CALL(ioctl, TTY, TCFLSH, 3L);
	say("3?");
	while (!input_queue())
		pause_ms(1);
	CALL(ioctl, TTY, TCFLSH, (long)TCOFLUSH);
	SHOW(input_queue());
	CALL(ioctl, TTY, TCFLSH, (long)TCIFLUSH);
	SHOW(input_queue());
	say("4?");
	while (!input_queue())
		pause_ms(1);
	/* What the other end of a pseudo-terminal has not read is forgotten, too. */
	CALL(ioctl, TTY, TCFLSH, (long)TCIOFLUSH);
	SHOW(input_queue());

	CALL(ioctl, TTY, TIOCOUTQ, &out);
	SHOW(out);
	CALL(ioctl, TTY, TCSBRK, 1L);
	CALL(ioctl, TTY, TCSBRK, 0L);
	CALL(ioctl, TTY, TCSBRKP, 0L);
	CALL(ioctl, TTY, TCXONC, 4L);
	say("5?");
	show_read(TTY, 100);
	return report_status();
}
