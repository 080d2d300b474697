/*
 * What do the flags of echo do?
 *
 * at "plain\r\n": type "ab\001\177\177c\025x\r"
 * at "no ECHOE\r\n": type "ab\001\177\177c\025x\r"
 * at "no ECHOK\r\n": type "ab\001\177\177c\025x\r"
 * at "no ECHOKE\r\n": type "ab\001\177\177c\025x\r"
 * at "no ECHOCTL\r\n": type "ab\001\177\177c\025x\r"
 * at "ECHOPRT\r\n": type "abc\177\177d\177e\177\177\177x\r"
 * at "no ECHO\r\n": type "ab\001\177\177c\025x\r"
 * at "ECHONL\r\n": type "ab\001\177\177c\025x\r"
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void with(const char *name, unsigned int on, unsigned int off)
{
	struct termios modes = get_modes(), changed = modes;

	changed.c_lflag = (changed.c_lflag | on) & ~off;
	set_modes(&changed);
	say("%s\n", name);
	show_read(TTY, 100);
	set_modes(&modes);
}

int main(void)
{
	with("plain", 0, 0);
	with("no ECHOE", 0, ECHOE);
	with("no ECHOK", 0, ECHOK);
	with("no ECHOKE", 0, ECHOKE);
	with("no ECHOCTL", 0, ECHOCTL);
	with("ECHOPRT", ECHOPRT, 0);
	with("no ECHO", 0, ECHO);
	with("ECHONL", ECHONL, ECHO);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
