/*
 * When is a terminal ready?
 *
 * at "1?": type "part"
 * at "part": type "\r"
 * at "2?": type "a"
 * at "a": type "b"
 * at "3?": type "\004"
 */
#include "process.h"
#include "terminal.h"

static void wait_input(void)
{
	struct pollfd entry = { .fd = TTY, .events = POLLIN };

	SHOW(poll(&entry, 1, -1));
	SHOW(entry.revents == POLLIN);
}

int main(void)
{
	show_poll(TTY);
	say("1?");
	wait_input();
	show_read(TTY, 100);
	show_poll(TTY);
	/* As many as VMIN says. */
	CHANGE_MODES(lflag, 0, ICANON);
	SET_CC(VMIN, 2);
	say("2?");
	wait_input();
	show_read(TTY, 100);
	CHANGE_MODES(lflag, ICANON, 0);
	/* The end of the file, too. */
	say("3?");
	wait_input();
	show_poll(TTY);
	show_read(TTY, 100);
	show_poll(TTY);
	return report_status();
}
