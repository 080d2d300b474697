/* A pipeline in a group of its own, stopped, continued and killed as a shell does it. */
#include "signals.h"

enum { MEMBERS = 3 };

static volatile int *counts;
static pid_t members[MEMBERS];

static void member(int number)
{
	for (;;) {
		counts[number]++;
		pause_ms(1);
	}
}

static void show_all(const char *what, int options)
{
	int status;

	for (int i = 0; i < MEMBERS; i++) {
		if (waitpid(members[i], &status, options) != members[i])
			die("wait for a member");
		show_wait_status(what, status);
	}
}

static int moves(void)
{
	int before[MEMBERS], moved = 0;

	for (int i = 0; i < MEMBERS; i++)
		before[i] = counts[i];
	pause_ms(5);
	for (int i = 0; i < MEMBERS; i++)
		moved += counts[i] != before[i];
	return moved;
}

/* Wait until so many move at a time. */
static void show_moves(int expected)
{
	while (moves() < expected)
		;
	say("%d move\n", expected);
}

int main(void)
{
	int status;
	pid_t group;

	counts = share_pages(1);
	for (int i = 0; i < MEMBERS; i++) {
		members[i] = spawn();
		if (!members[i])
			member(i);
		/* Both sides set it, so that it holds whoever comes first. */
		CALL_OK(setpgid, members[i], members[0]);
	}
	group = members[0];
	CHECK(getpgid(members[2]) == group);
	show_moves(3);
	SHOW(kill(-group, SIGTSTP));
	show_all("stopped", WUNTRACED);
	SHOW(moves());
	SHOW(waitpid(-group, &status, WNOHANG | WUNTRACED));
	SHOW(kill(-group, SIGCONT));
	show_all("continued", WCONTINUED);
	show_moves(3);
	/* One alone, and the group is half stopped. */
	SHOW(kill(members[1], SIGSTOP));
	CHECK(waitpid(-group, &status, WUNTRACED) == members[1]);
	show_moves(2);
	/* What a stopped one is sent waits until it goes on; SIGKILL does not. */
	SHOW(kill(-group, SIGTERM));
	reap("first", members[0]);
	reap("third", members[2]);
	SHOW(waitpid(members[1], &status, WNOHANG));
	SHOW(kill(members[1], SIGCONT));
	reap("second", members[1]);
	SHOW(kill(-group, 0));
	return report_status();
}
