/*
 * What happens to a process that writes, or changes settings, in the background?
 *
 * at "the end?": type "\r"
 */
#include "process.h"
#include "terminal.h"

static struct termios modes;

static void run(const char *what, void (*prepare)(void), void (*action)(void))
{
	pid_t child = spawn();
	int status, value = getpgrp();

	if (!child) {
		setpgid(0, 0);
		prepare();
		action();
		_exit(0);
	}
	setpgid(child, child);
	waitpid(child, &status, WUNTRACED);
	show_wait_status(what, status);
	if (!WIFSTOPPED(status))
		return;
	/* Stopped: bring it to the foreground, where it goes on. */
	value = child;
	ioctl(TTY, TIOCSPGRP, &value);
	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	value = getpgrp();
	ioctl(TTY, TIOCSPGRP, &value);
	show_wait_status(what, status);
}

static void default_it(void)
{
	unblock(SIGTTOU);
}

static void ignore_it(void)
{
	set_action(SIGTTOU, SIG_IGN, 0);
}

static void block_it(void)
{
	block(SIGTTOU);
}

static void write_it(void)
{
	CALL(write, 1, "written\n", 8L);
}

static void set_it(void)
{
	if (ioctl(TTY, TCSETS, &modes))
		_exit(1);
}

static void drain_it(void)
{
	if (ioctl(TTY, TCSBRK, 1L))
		_exit(1);
}

static void flush_it(void)
{
	if (ioctl(TTY, TCFLSH, (long)TCIFLUSH))
		_exit(1);
}

static void foreground_it(void)
{
	int value = getpgrp();

	if (ioctl(TTY, TIOCSPGRP, &value))
		_exit(1);
	value = getppid();
	if (ioctl(TTY, TIOCSPGRP, &value))
		_exit(2);
}

static void read_settings(void)
{
	get_modes();
}

int main(void)
{
	modes = get_modes();
	/* The parent must not be stopped by its own requests. */
	block(SIGTTOU);
	struct { const char *name; void (*action)(void); } actions[] = {
		{ "write", write_it }, { "TCSETS", set_it }, { "TCSBRK", drain_it },
		{ "TCFLSH", flush_it }, { "TIOCSPGRP", foreground_it }, { "TCGETS", read_settings },
	};

	for (int tostop = 0; tostop < 2; tostop++) {
		if (tostop)
			modes.c_lflag |= TOSTOP;
		else
			modes.c_lflag &= ~TOSTOP;
		set_modes(&modes);
		say("TOSTOP %d\n", tostop);
		for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
			char name[40];

			sprintf(name, "%s, ignored", actions[i].name);
			run(name, ignore_it, actions[i].action);
			sprintf(name, "%s, blocked", actions[i].name);
			run(name, block_it, actions[i].action);
		}
	}
	modes.c_lflag &= ~TOSTOP;
	set_modes(&modes);
	/* And by default. */
	for (int tostop = 0; tostop < 2; tostop++) {
		modes.c_lflag = tostop ? modes.c_lflag | TOSTOP : modes.c_lflag & ~TOSTOP;
		set_modes(&modes);
		say("TOSTOP %d\n", tostop);
		for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
			run(actions[i].name, default_it, actions[i].action);
	}
	modes.c_lflag &= ~TOSTOP;
	set_modes(&modes);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
