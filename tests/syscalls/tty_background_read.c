/*
 * What happens to a process that reads in the background?
 *
 * at "type?": type "for the child\r"
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static void give(pid_t group)
{
	int value = group;

	if (ioctl(TTY, TIOCSPGRP, &value))
		die("set the foreground group");
}

static pid_t start_reader(void (*prepare)(void))
{
	pid_t child = spawn();

	if (!child) {
		setpgid(0, 0);
		prepare();
		show_read(TTY, 100);
		_exit(0);
	}
	setpgid(child, child);
	return child;
}

static void nothing(void)
{
}

static void ignore_it(void)
{
	set_action(SIGTTIN, SIG_IGN, 0);
}

static void block_it(void)
{
	block(SIGTTIN);
}

static void handler(int signal)
{
	say("[%s]", signal_name(signal));
}

static void handle_it(void)
{
	set_action(SIGTTIN, handler, 0);
}

int main(void)
{
	pid_t child;
	int status;

	set_action(SIGTTOU, SIG_IGN, 0);
	/* It stops; in the foreground it goes on, and the read begins again. */
	child = start_reader(nothing);
	waitpid(child, &status, WUNTRACED);
	show_wait_status("reader", status);
	give(child);
	say("type?");
	kill(child, SIGCONT);
	reap("reader", child);
	give(getpgrp());

	child = start_reader(ignore_it);
	reap("who ignores it", child);
	child = start_reader(block_it);
	reap("who blocks it", child);
	child = start_reader(handle_it);
	reap("who handles it", child);

	/* Still in the background when it goes on: it stops again. */
	child = start_reader(nothing);
	waitpid(child, &status, WUNTRACED);
	kill(child, SIGCONT);
	waitpid(child, &status, WUNTRACED);
	show_wait_status("reader", status);
	kill(child, SIGKILL);
	reap("reader", child);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
