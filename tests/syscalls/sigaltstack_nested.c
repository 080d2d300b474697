/* Do nested handlers share the alternate stack, and what do they learn of it? */
#include "signals.h"

static char stack[65536] __attribute__((aligned(16)));
static int depth;

static int on_stack(void *address)
{
	return (char *)address >= stack && (char *)address < stack + sizeof(stack);
}

static void show_stack(const char *who, const stack_t *state)
{
	say("  %s: %s, %s, flags %#x\n", who, state->ss_sp == stack ? "ours" : "other",
	    state->ss_size == sizeof(stack) ? "whole" : "another size",
	    (unsigned int)state->ss_flags);
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	stack_t state, other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	char local;

	(void)info;
	depth++;
	say("%s at depth %d: %s, before %s\n", signal_name(signal), depth,
	    on_stack(&local) ? "alternate" : "normal",
	    on_stack((void *)uc->uc_mcontext.gregs[REG_RSP]) ? "alternate" : "normal");
	CALL(sigaltstack, NULL, &state);
	show_stack("now", &state);
	show_stack("context", &uc->uc_stack);
	if (on_stack(&local) && !(state.ss_flags & SS_DISABLE)) {
		CALL(sigaltstack, &other, NULL);
		other.ss_flags = SS_DISABLE;
		CALL(sigaltstack, &other, NULL);
	}
	if (signal == SIGUSR1)
		kill(getpid(), SIGUSR2);
	if (signal == SIGUSR2)
		kill(getpid(), SIGHUP);
	depth--;
}

static void set_handler(int signal, int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal, &action, NULL);
}

static void show_all(unsigned int flags)
{
	stack_t ours = { .ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = flags };
	stack_t state;

	CALL(sigaltstack, &ours, NULL);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGHUP);
	CALL(sigaltstack, NULL, &state);
	show_stack("at last", &state);
}

int main(void)
{
	set_handler(SIGUSR1, SA_ONSTACK);
	set_handler(SIGUSR2, SA_ONSTACK);
	set_handler(SIGHUP, 0);
	show_all(0);
	say("disarmed on delivery\n");
	show_all(1U << 31);
	return report_status();
}
