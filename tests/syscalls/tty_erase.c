/*
 * How is a line edited, and how is that shown?
 *
 * at "1\r\n": type "abx\177cd\r"
 * at "2\r\n": type "two words, three\027\027four\r"
 * at "3\r\n": type "all of it\025nothing\r"
 * at "4\r\n": type "\177\027\025x\r"
 * at "5\r\n": type "a\tb\t\t\177\177\177\177c\r"
 * at "6\r\n": type "a\001b\002\177\177\177c\r"
 * at "7\r\n": type "x\303\244\342\202\254y\177\177\177\r"
 * at "8\r\n": type "x\303\244\342\202\254y\177\177\177\r"
 * at "9\r\n": type "foo_1 bar-2  \027\027\027.\r"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	for (int line = 1; line <= 9; line++) {
		if (line == 7)
			CHANGE_MODES(iflag, IUTF8, 0);
		if (line == 8)
			CHANGE_MODES(iflag, 0, IUTF8);
		say("%d\n", line);
		show_read(TTY, 100);
	}
	return report_status();
}
