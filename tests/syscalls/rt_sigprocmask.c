/* How does rt_sigprocmask(2) change the mask of blocked signals?  No signal is sent. */
#include "report.h"

#define BIT(signal) (1UL << ((signal) - 1))

static void show_mask(const char *what)
{
	unsigned long mask = 0;

	syscall(SYS_rt_sigprocmask, 0, NULL, &mask, 8L);
	say("%s: %#lx\n", what, mask);
}

int main(void)
{
	unsigned long set = 0, old = 0;

	CALL(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8L);
	show_mask("at first");
	set = BIT(SIGUSR1) | BIT(SIGINT);
	CALL(rt_sigprocmask, SIG_BLOCK, &set, &old, 8L);
	say("old %#lx\n", old);
	show_mask("block");
	set = BIT(SIGINT) | BIT(SIGTERM);
	CALL(rt_sigprocmask, SIG_UNBLOCK, &set, &old, 8L);
	say("old %#lx\n", old);
	show_mask("unblock");
	set = BIT(64);
	CALL(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8L);
	show_mask("set");
	/* All of them, but for SIGKILL and SIGSTOP. */
	set = -1UL;
	CALL(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8L);
	show_mask("all");
	set = 0;
	CALL(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8L);

	CALL(rt_sigprocmask, 99, &set, NULL, 8L);
	CALL(rt_sigprocmask, -1, &set, NULL, 8L);
	/* Without a set the operation is not looked at. */
	CALL(rt_sigprocmask, 99, NULL, &old, 8L);
	CALL(rt_sigprocmask, 99, NULL, NULL, 8L);
	CALL(rt_sigprocmask, SIG_BLOCK, &set, NULL, 4L);
	CALL(rt_sigprocmask, SIG_BLOCK, &set, NULL, 16L);
	CALL(rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8L);
	CALL(rt_sigprocmask, 99, (void *)8, NULL, 8L);
	/* The mask is changed before the old one is stored. */
	set = BIT(SIGUSR2);
	CALL(rt_sigprocmask, SIG_BLOCK, &set, (void *)8, 8L);
	show_mask("after a fault");
	return report_status();
}
