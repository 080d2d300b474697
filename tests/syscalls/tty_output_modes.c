/*
 * What do the output modes make of what is written?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void with(const char *name, unsigned int oflag)
{
	static const char text[] = "a\tb\r\nC\n\r\rd\b\te\nf\r\tg\t";
	struct termios modes = get_modes(), changed = modes;

	changed.c_oflag = oflag;
	set_modes(&changed);
	CALL(write, 1, text, sizeof(text) - 1);
	set_modes(&modes);
	say("|%s\n", name);
}

int main(void)
{
	with("none", 0);
	with("OPOST", OPOST);
	with("ONLCR without OPOST", ONLCR);
	with("ONLCR", OPOST | ONLCR);
	with("OCRNL", OPOST | OCRNL);
	with("ONOCR", OPOST | ONOCR);
	with("ONLRET", OPOST | ONLRET);
	with("ONLRET, OCRNL", OPOST | ONLRET | OCRNL);
	with("XTABS", OPOST | XTABS);
	with("XTABS, ONLCR", OPOST | XTABS | ONLCR);
	with("OLCUC", OPOST | OLCUC);
	with("all", OPOST | OLCUC | ONLCR | OCRNL | ONOCR | ONLRET | XTABS);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
