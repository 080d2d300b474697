/* Of several signals that are taken at once, whose handler runs first, on whose frame? */
#include "signals.h"

static int order[16], nr;
static unsigned long interrupted[16];
static int depth, deepest;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)info;
	if (++depth > deepest)
		deepest = depth;
	interrupted[nr] = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	order[nr++] = signal;
	depth--;
}

static void show_order(const char *what)
{
	say("%s: at most %d at a time\n", what, deepest);
	for (int i = 0; i < nr; i++)
		say("  %s %s\n", signal_name(order[i]),
		    interrupted[i] == (unsigned long)handler ? "interrupted a handler's beginning"
							     : "interrupted the program");
	nr = depth = deepest = 0;
}

static void raise_all(void)
{
	static const int all[] = { 50, SIGTERM, SIGHUP, SIGSEGV, 40, SIGUSR2, SIGFPE };

	set_mask(-1UL);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		kill(getpid(), all[i]);
	syscall(SYS_tkill, getpid(), SIGUSR1);
	syscall(SYS_tkill, getpid(), 45);
}

int main(void)
{
	static const int all[] = { 50, SIGTERM, SIGHUP, SIGSEGV, 40, SIGUSR2, SIGFPE, SIGUSR1, 45 };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		sigaction(all[i], &action, NULL);
	raise_all();
	set_mask(0);
	show_order("empty mask");
	/* With everything blocked in a handler they come one after the other. */
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		sigaction(all[i], &action, NULL);
	raise_all();
	set_mask(0);
	show_order("full mask");
	return report_status();
}
