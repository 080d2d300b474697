/*
 * What is typed by a program, with TIOCSTI?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void type(const char *keys)
{
	for (; *keys; keys++)
		if (ioctl(TTY, TIOCSTI, keys))
			die("type");
}

int main(void)
{
	pid_t child;

	/* As if by a key: edited, echoed, and it ends the line. */
	type("abx\177c\n");
	show_read(TTY, 100);
	/* A signal, too. */
	child = spawn();
	if (!child) {
		set_action(SIGINT, SIG_DFL, 0);
		for (;;)
			pause_ms(10000);
	}
	set_action(SIGINT, SIG_IGN, 0);
	CHANGE_MODES(lflag, NOFLSH, 0);
	type("kept\003");
	reap("child", child);
	/* Root may do it in another session. */
	child = spawn();
	if (!child) {
		setsid();
		type(", from outside\n");
		_exit(0);
	}
	reap("another session", child);
	show_read(TTY, 100);
	CALL(ioctl, TTY, TIOCSTI, NULL);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
