/*
 * What does a read get of lines?
 *
 * at "1\r\n": type "a line\r"
 * at "2\r\n": type "short reads\r"
 * at "3\r\n": type "one\rtwo\r"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	say("1\n");
	show_read(TTY, 100);
	say("2\n");
	show_read(TTY, 5);
	show_read(TTY, 3);
	show_read(TTY, 100);
	CHANGE_MODES(lflag, 0, ECHO);
	say("3\n");
	show_read(TTY, 100);
	show_read(TTY, 100);
	return report_status();
}
