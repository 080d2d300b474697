/* Is a signal taken before the call that unblocks it returns, and in its handler's mask? */
#include "signals.h"

static kernel_set in_handler[3];
static int order[8], nr;

static void outer(int signal)
{
	static int times;

	order[nr++] = signal;
	in_handler[0] = get_mask();
	if (times++)
		return;
	kill(getpid(), SIGUSR1); /* its own: not before this returns */
	order[nr++] = -signal;
	kill(getpid(), SIGUSR2); /* in sa_mask */
	order[nr++] = -signal;
}

static void inner(int signal)
{
	order[nr++] = signal;
	in_handler[1] = get_mask();
	if (signal == SIGUSR1)
		set_action(SIGUSR1, SIG_IGN, 0);
}

int main(void)
{
	struct sigaction action = { .sa_handler = outer };

	sigaddset(&action.sa_mask, SIGUSR2);
	sigaddset(&action.sa_mask, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	set_action(SIGUSR2, inner, 0);
	set_mask(BIT(SIGUSR1) | BIT(SIGTERM));
	kill(getpid(), SIGUSR1);
	SHOW(nr);
	set_mask(BIT(SIGTERM));
	set_action(SIGUSR1, inner, SA_NODEFER);
	for (int i = 0; i < nr; i++)
		say("%d\n", order[i]);
	say("outer %#lx inner %#lx\n", in_handler[0], in_handler[1]);
	nr = 0;
	CALL(kill, getpid(), SIGUSR1);
	SHOW(nr);
	say("SA_NODEFER: inner %#lx\n", in_handler[1]);
	CHECK(get_mask() == BIT(SIGTERM));
	return report_status();
}
