/*
 * For how many bytes does a read wait without ICANON?
 *
 * at "1?": type "a"
 * at "2?": type "bcd"
 * at "3?": type "e"
 * at "e": type "f"
 * at "f": type "gh"
 * at "4?": type "i"
 * at "5?": type "jklmnopq"
 * at "6?": type "1234567890123456789012345678901234567890123456789012345678901234567890123456789"
 * at "7?": type "1234567890123456789012345678901234567890123456789012345678901234567890123456789"
 */
#include "process.h"
#include "terminal.h"

static void raw(int vmin)
{
	make_raw(vmin, 0);
	CHANGE_MODES(lflag, ECHO, 0);
}

int main(void)
{
	raw(1);
	say("1?");
	show_read(TTY, 10);
	say("2?");
	show_read(TTY, 2);
	show_read(TTY, 10);
	raw(3);
	say("3?");
	show_read(TTY, 10);
	/* No more than is asked for. */
	say("4?");
	show_read(TTY, 1);
	raw(0);
	show_read(TTY, 10);
	say("5?");
	while (input_queue() != 8)
		pause_ms(1);
	show_read(TTY, 3);
	show_read(TTY, 10);
	show_read(TTY, 10);
	/* More than 64 are not waited for. */
	raw(100);
	say("6?");
	show_read(TTY, 200);
	raw(0);
	show_read(TTY, 200);
	raw(64);
	say("7?");
	show_read(TTY, 200);
	return report_status();
}
