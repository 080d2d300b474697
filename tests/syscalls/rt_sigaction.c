/* Which dispositions does rt_sigaction(2) accept and report?  No signal is sent. */
#include "report.h"

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif
#define UNKNOWN_FLAG 0x00000400

/* The kernel's structure, which the library's is not. */
struct kernel_sigaction {
	unsigned long handler;
	unsigned long flags;
	unsigned long restorer;
	unsigned long mask;
};

#define HANDLER 0x1234
#define RESTORER 0x5678
#define BIT(signal) (1UL << ((signal) - 1))

static void show_action(const char *what, int signal)
{
	struct kernel_sigaction action;

	memset(&action, '#', sizeof(action));
	CALL(rt_sigaction, signal, NULL, &action, 8L);
	say("%s: handler %#lx flags %#lx restorer %#lx mask %#lx\n", what,
	    action.handler, action.flags, action.restorer, action.mask);
}

int main(void)
{
	struct kernel_sigaction action = {
		HANDLER, SA_RESTORER | SA_RESTART | SA_SIGINFO, RESTORER, BIT(SIGINT),
	};
	struct kernel_sigaction old;

	show_action("at first", SIGUSR1);
	CALL(rt_sigaction, SIGUSR1, &action, &old, 8L);
	CHECK(old.handler == (unsigned long)SIG_DFL);
	show_action("set", SIGUSR1);
	show_action("another", SIGUSR2);
	show_action("last", 64);

	/* SIGKILL and SIGSTOP cannot be blocked, not even while handling. */
	action.mask = -1UL;
	CALL(rt_sigaction, SIGUSR1, &action, NULL, 8L);
	show_action("mask", SIGUSR1);
	/* Flags that the kernel does not know are taken out. */
	action.flags |= UNKNOWN_FLAG;
	CALL(rt_sigaction, SIGUSR1, &action, NULL, 8L);
	show_action("flags", SIGUSR1);
	action = (struct kernel_sigaction){ (unsigned long)SIG_IGN, 0, 0, 0 };
	CALL(rt_sigaction, SIGUSR1, &action, &old, 8L);
	say("old handler %#lx\n", old.handler);
	show_action("ignored", SIGUSR1);

	CALL(rt_sigaction, SIGKILL, &action, NULL, 8L);
	CALL(rt_sigaction, SIGSTOP, &action, NULL, 8L);
	show_action("kill", SIGKILL);
	CALL(rt_sigaction, 0, &action, NULL, 8L);
	CALL(rt_sigaction, 0, NULL, &old, 8L);
	CALL(rt_sigaction, 65, &action, NULL, 8L);
	CALL(rt_sigaction, -1, &action, NULL, 8L);
	CALL(rt_sigaction, SIGUSR1, &action, NULL, 4L);
	CALL(rt_sigaction, SIGUSR1, &action, NULL, 16L);
	CALL(rt_sigaction, SIGUSR1, NULL, NULL, 8L);
	CALL(rt_sigaction, SIGUSR1, (void *)8, NULL, 8L);
	CALL(rt_sigaction, SIGUSR1, NULL, (void *)8, 8L);
	return report_status();
}
