/*
 * What does the end-of-file character do, alone and behind something?
 *
 * at "1\r\n": type "\004"
 * at "2\r\n": type "abc\004"
 * at "3\r\n": type "abc\004"
 * at "4\r\n": type "abc\004\004"
 * at "5\r\n": type "abc\004"
 * at "\"c\"\r\n": type "def\r"
 * at "6\r\n": type "x\026\004y\r"
 * at "7\r\n": type "q"
 * at "8\r\n": type "\004z\r"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	say("1\n");
	show_read(TTY, 100);
	say("2\n");
	show_read(TTY, 100);
	say("3\n");
	/* Just as many as there are: the mark is gone with them. */
	show_read(TTY, 3);
	say("4\n");
	show_read(TTY, 100);
	show_read(TTY, 100);
	say("5\n");
	show_read(TTY, 2);
	show_read(TTY, 100);
	show_read(TTY, 100);
	say("6\n");
	show_read(TTY, 100);
	SET_CC(VEOF, 'q');
	say("7\n");
	show_read(TTY, 100);
	SET_CC(VEOF, 0);
	say("8\n");
	show_read(TTY, 100);
	return report_status();
}
