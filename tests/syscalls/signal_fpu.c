/* Has a handler an FPU of its own, and the program its old one afterwards? */
#include "signals.h"

static volatile unsigned int mxcsr_there;
static volatile unsigned short control_there;
static volatile double first_there;
static int change;

static void handler(int signal, siginfo_t *info, void *context)
{
	struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;
	unsigned int mxcsr, flush = 0x9fc0;
	unsigned short control, single = 0x7f;
	double xmm;

	(void)signal;
	(void)info;
	asm volatile("stmxcsr %0\n\tfnstcw %1\n\tmovsd %%xmm3, %2"
		     : "=m"(mxcsr), "=m"(control), "=m"(xmm));
	mxcsr_there = mxcsr;
	control_there = control;
	first_there = xmm;
	/* Spoil everything. */
	asm volatile("ldmxcsr %0\n\tfninit\n\tfldcw %1\n\tfldpi\n\tfldpi\n\tpcmpeqd %%xmm3, %%xmm3\n\t"
		     "pcmpeqd %%xmm15, %%xmm15" : : "m"(flush), "m"(single) : "xmm3", "xmm15");
	say("  in the frame: mxcsr %#x, control %#x, xmm3 %#x %#x, xmm15 %#x\n", fp->mxcsr,
	    fp->cwd, fp->_xmm[3].element[0], fp->_xmm[3].element[1], fp->_xmm[15].element[2]);
	if (change) {
		fp->_xmm[3].element[0] = 0x1234;
		fp->mxcsr = 0x5f80;
		fp->cwd = 0x77f;
	}
}

static void show_fpu(const char *what)
{
	static const unsigned long pattern[2] = { 0x1111222233334444, 0x5555666677778888 };
	unsigned int mxcsr = 0x3fa5;
	unsigned short control = 0x27f;
	unsigned long three[2], fifteen[2];
	long double top, under;
	long result;

	say("%s\n", what);
	asm volatile(
		"ldmxcsr %[mxcsr]\n\tfninit\n\tfldcw %[control]\n\tfld1\n\tfldl2e\n\t"
		"movdqu %[pattern], %%xmm3\n\tmovdqu %[pattern], %%xmm15\n\t"
		"syscall\n\t"
		"movdqu %%xmm3, %[three]\n\tmovdqu %%xmm15, %[fifteen]\n\t"
		"stmxcsr %[mxcsr]\n\tfnstcw %[control]\n\tfstpt %[top]\n\tfstpt %[under]\n\tfninit"
		: "=a"(result), [mxcsr] "+m"(mxcsr), [control] "+m"(control), [three] "=m"(three),
		  [fifteen] "=m"(fifteen), [top] "=m"(top), [under] "=m"(under)
		: "0"(SYS_kill), "D"(getpid()), "S"(SIGUSR1), [pattern] "m"(pattern)
		: "rcx", "r11", "xmm3", "xmm15", "memory");
	say("  handler: mxcsr %#x, control %#x, xmm3 %d\n", mxcsr_there, control_there,
	    (int)first_there);
	say("  after: mxcsr %#x, control %#x, xmm3 %#lx %#lx, xmm15 %#lx %#lx\n", mxcsr, control,
	    three[0], three[1], fifteen[0], fifteen[1]);
	say("  stack %d %d\n", (int)(top * 1000), (int)(under * 1000));
	mxcsr = 0x1f80;
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &action, NULL);
	show_fpu("kept");
	change = 1;
	show_fpu("changed in the frame");
	return report_status();
}
