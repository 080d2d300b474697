/*
 * What do the input modes make of characters?
 *
 * at "none\r\n": type "a\rb\nC\341."
 * at "ICRNL\r\n": type "a\rb\nC\341."
 * at "INLCR\r\n": type "a\rb\nC\341."
 * at "IGNCR\r\n": type "a\rb\nC\341."
 * at "IGNCR, ICRNL\r\n": type "a\rb\nC\341."
 * at "ICRNL, INLCR\r\n": type "a\rb\nC\341."
 * at "ISTRIP\r\n": type "a\rb\nC\341."
 * at "IUCLC\r\n": type "a\rb\nC\341."
 * at "PARMRK\r\n": type "a\rb\nC\377."
 * at "PARMRK, ISTRIP\r\n": type "a\rb\nC\377."
 */
#include "process.h"
#include "terminal.h"

static void with(const char *name, unsigned int iflag)
{
	struct termios modes = get_modes();

	modes.c_iflag = iflag;
	set_modes(&modes);
	say("%s\n", name);
	show_read(TTY, 100);
}

int main(void)
{
	struct termios modes = get_modes();

	/* By lines that end with a dot; for IUCLC, IEXTEN stays. */
	modes.c_cc[VEOL] = '.';
	modes.c_lflag &= ~ECHO;
	set_modes(&modes);
	with("none", 0);
	show_read(TTY, 100);
	with("ICRNL", ICRNL);
	show_read(TTY, 100);
	show_read(TTY, 100);
	with("INLCR", INLCR);
	with("IGNCR", IGNCR);
	show_read(TTY, 100);
	with("IGNCR, ICRNL", IGNCR | ICRNL);
	show_read(TTY, 100);
	with("ICRNL, INLCR", ICRNL | INLCR);
	show_read(TTY, 100);
	with("ISTRIP", ISTRIP);
	show_read(TTY, 100);
	with("IUCLC", IUCLC);
	show_read(TTY, 100);
	with("PARMRK", PARMRK);
	show_read(TTY, 100);
	with("PARMRK, ISTRIP", PARMRK | ISTRIP);
	show_read(TTY, 100);
	return report_status();
}
