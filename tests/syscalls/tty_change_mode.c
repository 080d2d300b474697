/*
 * What becomes of what was typed when the terminal goes from lines to bytes, and back?
 *
 * at "1?": type "line one\rpart"
 * at "2?": type "bytes"
 * at "3?": type "more\004"
 * at "4?": type "x\ry"
 * at "5?": type "z\r"
 */
#include "process.h"
#include "terminal.h"

static void lines(void)
{
	struct termios modes = get_modes();

	modes.c_lflag |= ICANON;
	modes.c_iflag |= ICRNL;
	set_modes(&modes);
}

int main(void)
{
	CHANGE_MODES(lflag, 0, ECHO);
	say("1?");
	while (input_queue() != 9)
		pause_ms(1);
	make_raw(1, 0);
	SHOW(input_queue());
	show_read(TTY, 100);
	say("2?");
	while (input_queue() != 5)
		pause_ms(1);
	lines();
	SHOW(input_queue());
	show_poll(TTY);
	show_read(TTY, 3);
	say("3?");
	show_read(TTY, 100);
	show_read(TTY, 100);
	say("4?");
	while (input_queue() != 2)
		pause_ms(1);
	make_raw(0, 0);
	SHOW(input_queue());
	lines();
	SHOW(input_queue());
	show_read(TTY, 2);
	say("5?");
	show_read(TTY, 100);
	show_read(TTY, 100);
	return report_status();
}
