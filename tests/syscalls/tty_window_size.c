/*
 * What is the size of the window, and who is told when it changes?
 *
 * at "wait": resize "30x100"
 * at "again": resize "30x100"
 * at "": type "\r"
 */
#include "process.h"
#include "terminal.h"

static volatile int told;

static void handler(int signal)
{
	told++;
}

static void show_size(void)
{
	struct winsize size;

	if (CALL(ioctl, TTY, TIOCGWINSZ, &size) == 0)
		say("%d rows, %d columns, %d by %d\n", size.ws_row, size.ws_col, size.ws_xpixel,
		    size.ws_ypixel);
}

int main(void)
{
	struct winsize size = { 10, 20, 300, 400 };

	show_size();
	set_action(SIGWINCH, handler, 0);
	CALL(ioctl, TTY, TIOCSWINSZ, &size);
	show_size();
	SHOW(told);
	/* The same again is no change. */
	CALL(ioctl, TTY, TIOCSWINSZ, &size);
	SHOW(told);
	CALL(ioctl, TTY, TIOCSWINSZ, NULL);
	say("wait");
	while (told < 2)
		pause_ms(1);
	SHOW(told);
	show_size();
	say("again");
	show_read(TTY, 100);
	SHOW(told);
	return report_status();
}
