/*
 * Which si_code has SIGFPE for an x87 exception, and at which instruction does it come?  Of division
 * by zero: the engine knows no other one.
 */
#include "signals.h"
#include <setjmp.h>

static sigjmp_buf back;

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	say("  %s code %d vector %lld error %lld, si_addr is RIP: %d\n", signal_name(signal),
	    info->si_code, uc->uc_mcontext.gregs[REG_TRAPNO], uc->uc_mcontext.gregs[REG_ERR],
	    (long)info->si_addr == uc->uc_mcontext.gregs[REG_RIP]);
	say("  status %#x\n", uc->uc_mcontext.fpregs->swd & 0xff);
	siglongjmp(back, 1);
}

static void try_x87(const char *what, int mask, double a, double b)
{
	unsigned short control = 0x37f & ~mask;
	double result;

	say("%s\n", what);
	if (sigsetjmp(back, 1)) {
		asm volatile("fninit");
		return;
	}
	asm volatile("fninit\n\tfldcw %1\n\tfldl %2\n\tfdivl %3\n\tnop\n\tfstpl %0\n\tfwait"
		     : "=m"(result) : "m"(control), "m"(a), "m"(b));
	say("  nothing\n");
	asm volatile("fninit");
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGFPE, &action, NULL);
	try_x87("divide by zero, masked", 0, 1, 0);
	try_x87("divide by zero", 4, 1, 0);
	try_x87("minus divide by zero", 4, -1, 0);
	try_x87("nothing to divide by zero", 4, 5, 2);
	return report_status();
}
