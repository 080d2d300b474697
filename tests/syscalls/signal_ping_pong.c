/* Do two processes that wait for each other by sigsuspend(2) lose no signal? */
#include "signals.h"

static volatile int turns;

static void handler(int signal)
{
	(void)signal;
	turns++;
}

static void play(pid_t other, int rounds, int begins)
{
	sigset_t none;

	sigemptyset(&none);
	for (int i = 1; i <= rounds; i++) {
		if (begins)
			kill(other, SIGUSR1);
		while (turns < i)
			sigsuspend(&none);
		if (!begins)
			kill(other, SIGUSR1);
	}
}

int main(void)
{
	pid_t child, self = getpid();

	set_action(SIGUSR1, handler, 0);
	block(SIGUSR1);
	child = spawn();
	if (!child) {
		play(self, 500, 0);
		_exit(turns != 500);
	}
	play(child, 500, 1);
	SHOW(turns);
	reap("child", child);
	return report_status();
}
