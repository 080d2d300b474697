/*
 * What does a read answer that a key's signal interrupts?
 *
 * at "1?": type "\003"
 * at "2?": type "x\003"
 * at "[handled]": type "line\r"
 * at "3?": type "ab"
 * at "ab": type "\003"
 * at "4?": type "\003"
 */
#include "process.h"
#include "terminal.h"

static void handler(int signal)
{
	pause_ms(5); /* The key's echo is first. */
	say("[handled]");
}

static void read_while(const char *text)
{
	pid_t child = say_when_asleep(text);

	show_read(TTY, 100);
	waitpid(child, NULL, 0);
}

int main(void)
{
	pid_t child;

	set_action(SIGINT, handler, 0);
	read_while("1?");
	set_action(SIGINT, handler, SA_RESTART);
	read_while("2?");
	/* Some bytes are there already. */
	set_action(SIGINT, handler, 0);
	CHANGE_MODES(lflag, NOFLSH, ICANON);
	SET_CC(VMIN, 5);
	read_while("3?");
	SET_CC(VMIN, 1);
	CHANGE_MODES(lflag, ICANON, NOFLSH);
	/* The default ends everybody in the group who does not handle it. */
	set_action(SIGINT, SIG_IGN, 0);
	child = spawn();
	if (!child) {
		set_action(SIGINT, SIG_DFL, 0);
		say("4?");
		read(TTY, &child, 1);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
