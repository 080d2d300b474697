/*
 * What settings does a terminal have, and how are they changed?
 *
 * at "1?\r\n": type "typed ahead\r"
 * at "2?\r\n": type "typed\r"
 */
#include "process.h"
#include "terminal.h"

#define IS(flag) ((modes.c_cflag & (flag)) == (flag))

int main(void)
{
	struct termios modes = get_modes(), other;
	struct termios2 fast;
	struct termio { unsigned short iflag, oflag, cflag, lflag;
			unsigned char line, cc[8]; } small;

	say("iflag %#x oflag %#x lflag %#x line %d\n", modes.c_iflag, modes.c_oflag, modes.c_lflag,
	    modes.c_line);
	for (size_t i = 0; i < sizeof(modes.c_cc); i++)
		say("%d ", modes.c_cc[i]);
	say("\n");
	CHECK(IS(B38400) && IS(CS8) && IS(CREAD));

	/* Each kind of set: at once, when output is sent, and without input. */
	other = modes;
	other.c_lflag |= NOFLSH;
	other.c_cc[VINTR] = 'i';
	CALL(ioctl, TTY, TCSETS, &other);
	SHOW(get_modes().c_lflag == other.c_lflag && get_modes().c_cc[VINTR] == 'i');
	CALL(ioctl, TTY, TCSETSW, &modes);
	SHOW(get_modes().c_lflag == modes.c_lflag && get_modes().c_cc[VINTR] == 3);
	say("1?\n");
	while (!input_queue())
		pause_ms(1);
	CALL(ioctl, TTY, TCSETSF, &modes);
	SHOW(input_queue());
	say("2?\n");
	show_read(TTY, 100);

	/* The old structure holds half of each word. */
	CALL(ioctl, TTY, TCGETA, &small);
	SHOW(small.iflag == (unsigned short)modes.c_iflag &&
	     small.lflag == (unsigned short)modes.c_lflag);
	small.cc[0] = 7;
	CALL(ioctl, TTY, TCSETA, &small);
	SHOW(get_modes().c_cc[VINTR]);
	SHOW(get_modes().c_cc[VSTOP]);
	SHOW(get_modes().c_lflag == modes.c_lflag);
	CALL(ioctl, TTY, TCSETS, &modes);

	/* Speeds. */
	CALL(ioctl, TTY, TCGETS2, &fast);
	SHOW(fast.c_ispeed);
	SHOW(fast.c_ospeed);
	fast.c_cflag = (fast.c_cflag & ~CBAUD) | BOTHER;
	fast.c_ospeed = 12345;
	CALL(ioctl, TTY, TCSETS2, &fast);
	memset(&fast, 0, sizeof(fast));
	CALL(ioctl, TTY, TCGETS2, &fast);
	SHOW(fast.c_ospeed);
	SHOW(fast.c_ispeed);
	SHOW((fast.c_cflag & CBAUD) == BOTHER);
	other = modes;
	other.c_cflag = (other.c_cflag & ~CBAUD) | B115200;
	CALL(ioctl, TTY, TCSETSW, &other);
	CALL(ioctl, TTY, TCGETS2, &fast);
	SHOW(fast.c_ospeed);
	SHOW(fast.c_ispeed);
	CALL(ioctl, TTY, TCSETS, &modes);

	CALL(ioctl, TTY, TCGETS, NULL);
	CALL(ioctl, TTY, TCSETS, NULL);
	CALL(ioctl, TTY, TCSETS, 8L);
	CALL(ioctl, TTY, TIOCGWINSZ, NULL);
	CALL(ioctl, TTY, FIONREAD, NULL);
	CALL(ioctl, TTY, 0x54ffL, NULL);
	return report_status();
}
