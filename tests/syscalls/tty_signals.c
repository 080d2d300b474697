/*
 * Which keys send signals, and what is lost by them?
 *
 * at "1?": type "lost\003"
 * at "2?": type "lost\034"
 * at "3?": type "lost\032"
 * at "4?": type "kept"
 * at "kept": type "\003"
 * at "5?": type " too\r"
 * at "6?": type "a\003b\034c\032\r"
 * at "7?": type "x\003\r"
 * at "8?": type "not echoed\003"
 * at "9?": type "line\r"
 */
#include "process.h"
#include "terminal.h"

static volatile int last;

static void handler(int signal)
{
	last = signal;
}

static void wait_signal(void)
{
	while (!last)
		pause_ms(1);
	pause_ms(5); /* The key's echo is first. */
	say("[%s]", signal_name(last));
	last = 0;
}

int main(void)
{
	set_action(SIGINT, handler, SA_RESTART);
	set_action(SIGQUIT, handler, SA_RESTART);
	set_action(SIGTSTP, handler, SA_RESTART);
	for (int n = 1; n <= 3; n++) {
		say("%d?", n);
		wait_signal();
	}
	/* Without the flush, what has been typed stays. */
	CHANGE_MODES(lflag, NOFLSH, 0);
	say("4?");
	wait_signal();
	say("5?");
	show_read(TTY, 100);
	/* Without ISIG they are characters. */
	CHANGE_MODES(lflag, 0, ISIG | NOFLSH);
	say("6?");
	show_read(TTY, 100);
	/* Another key, and none. */
	CHANGE_MODES(lflag, ISIG, 0);
	SET_CC(VINTR, 0);
	say("7?");
	show_read(TTY, 100);
	SET_CC(VINTR, 3);
	CHANGE_MODES(lflag, 0, ECHO);
	say("8?");
	wait_signal();
	say("9?");
	show_read(TTY, 100);
	return report_status();
}
