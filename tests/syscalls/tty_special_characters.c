/*
 * What else can a key mean, and how is it typed without its meaning?
 *
 * at "EOL\r\n": type "a;"
 * at "EOL2\r\n": type "b,"
 * at "no IEXTEN\r\n": type "b,\026\177c\r"
 * at "LNEXT\r\n": type "a\026\177\026\026\026\003\026\rb\r"
 * at "REPRINT\r\n": type "some\001 text\022more\r"
 * at "other keys\r\n": type "abcd#ef\177@gh\r"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	SET_CC(VEOL, ';');
	say("EOL\n");
	show_read(TTY, 100);
	SET_CC(VEOL2, ',');
	say("EOL2\n");
	show_read(TTY, 100);
	CHANGE_MODES(lflag, 0, IEXTEN);
	say("no IEXTEN\n");
	show_read(TTY, 100);
	CHANGE_MODES(lflag, IEXTEN, 0);
	SET_CC(VEOL, 0);
	SET_CC(VEOL2, 0);
	say("LNEXT\n");
	show_read(TTY, 100);
	say("REPRINT\n");
	show_read(TTY, 100);
	SET_CC(VERASE, '#');
	SET_CC(VKILL, '@');
	say("other keys\n");
	show_read(TTY, 100);
	return report_status();
}
