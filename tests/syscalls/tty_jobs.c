/*
 * What do keys do to a job, as a shell sees it?
 *
 * at "job 1?": type "\032"
 * at "job 1 again?": type "\003"
 * at "job 2?": type "\034"
 * at "job 3?": type "\003"
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

/* Wait until a group is in the foreground: until its process has put it there. */
static void wait_for_foreground(pid_t group)
{
	int value = 0;

	while (ioctl(TTY, TIOCGPGRP, &value) == 0 && value != group)
		pause_ms(1);
}

/* A process of a job that does nothing but wait. */
static pid_t start_job(pid_t group, const char *text)
{
	pid_t child = spawn();

	if (!child) {
		setpgid(0, group);
		if (!group)
			give(getpgrp());
		set_action(SIGTTOU, SIG_DFL, 0);
		without_core();
		if (text)
			say("%s", text);
		for (;;)
			pause_ms(10000);
	}
	setpgid(child, group ? group : child);
	return child;
}

static void show_job(const char *who, pid_t child)
{
	int status;

	if (waitpid(child, &status, WUNTRACED) != child)
		die("wait for a job");
	pause_ms(5);
	show_wait_status(who, status);
}

int main(void)
{
	pid_t first, second, background;

	set_action(SIGTTOU, SIG_IGN, 0);
	background = start_job(0, NULL);
	wait_for_foreground(background);
	/* Stopped, continued, interrupted. */
	first = start_job(0, "job 1?");
	show_job("job 1", first);
	give(getpgrp());
	kill(-first, SIGCONT);
	give(first);
	say("job 1 again?");
	show_job("job 1", first);

	first = start_job(0, "job 2?");
	show_job("job 2", first);

	/* All of a pipeline; and who is in the background is not. */
	first = start_job(0, NULL);
	wait_for_foreground(first);
	second = start_job(first, NULL);
	give(first);
	say("job 3?");
	show_job("first", first);
	show_job("second", second);
	give(getpgrp());
	SHOW(waitpid(background, NULL, WNOHANG | WUNTRACED));
	kill(background, SIGKILL);
	reap("background", background);
	say("the end?");
	show_read(TTY, 100);
	return report_status();
}
