/*
 * What does a read answer that must not wait?
 *
 * at "1?": type "part"
 * at "part": type " line\r"
 * at "2?": type "ab"
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	fcntl(TTY, F_SETFL, O_RDWR | O_NONBLOCK);
	show_read(TTY, 100);
	say("1?");
	while (!input_queue())
		pause_ms(1);
	show_read(TTY, 100);
	show_read(TTY, 100);
	make_raw(1, 0);
	show_read(TTY, 100);
	make_raw(0, 0);
	show_read(TTY, 100);
	make_raw(0, 1);
	show_read(TTY, 100);
	make_raw(5, 0);
	CHANGE_MODES(lflag, ECHO, 0);
	say("2?");
	while (input_queue() != 2)
		pause_ms(1);
	show_read(TTY, 100);
	CALL(read, TTY, NULL, 0L);
	return report_status();
}
