/* How many SIGTRAPs does the trap flag make, and what do they say? */
#include "signals.h"

#define TF 0x100

static volatile int steps, codes, wrong;
static volatile long last;
static int limit;

static void handler(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	codes |= 1 << info->si_code;
	wrong += (long)info->si_addr != regs[REG_RIP] || regs[REG_TRAPNO] != 1;
	if (last && steps)
		wrong += regs[REG_RIP] <= last || regs[REG_RIP] > last + 8;
	last = regs[REG_RIP];
	if (++steps == limit)
		regs[REG_EFL] &= ~TF;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	long flags;

	sigaction(SIGTRAP, &action, NULL);
	for (limit = 1; limit < 6; limit++) {
		steps = codes = wrong = 0;
		last = 0;
		asm volatile("pushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
			     "nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\t"
			     "pushf\n\tpop %0" : "=r"(flags) : : "memory", "cc");
		say("%d steps, codes %#x, wrong %d, TF after it %d\n", steps, codes, wrong,
		    !!(flags & TF));
	}
	return report_status();
}
