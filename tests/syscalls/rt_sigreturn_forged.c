/* Can a program gain anything by a frame that it has changed or made itself? */
#include "signals.h"

#define NT (1L << 14)
#define IOPL (3L << 12)
#define IF (1L << 9)
#define ID (1L << 21)
#define VM (1L << 17)
#define RF (1L << 16)

static void (*change)(ucontext_t *);

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	change(context);
}

static long flags_after(void)
{
	long flags;

	kill(getpid(), SIGUSR1);
	asm volatile("pushf\n\tpop %0" : "=r"(flags));
	return flags;
}

static void all_flags(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_EFL] |= NT | IOPL | VM | ID | RF | 0xff00000000000000;
}

static void no_flags(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_EFL] = 0;
}

static void kernel_segments(ucontext_t *uc)
{
	/* CS and SS of ring 0; on the way back they get ring 3's bits. */
	uc->uc_mcontext.gregs[REG_CSGSFS] &= ~0xffffL;
	uc->uc_mcontext.gregs[REG_CSGSFS] |= 0x10;
}

static void odd_rip(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = 0x1234;
}

static void kernel_rip(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = 0xffffffff81000000;
}

static void no_rip(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = 1L << 60;
}

static void no_rsp(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RSP] = 1L << 60;
}

static void block_all(ucontext_t *uc)
{
	memset(&uc->uc_sigmask, 0xff, 8);
}

static void bad_fpstate(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = (void *)0x1230;
}

static void kernel_fpstate(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = (void *)0xffffffff81000000;
}

static void no_fpstate(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = NULL;
}

static void exit_by(int signal)
{
	(void)signal;
	_exit(42);
}

/* In a child that dies of SIGSEGV, or handles it on another stack. */
static void show_end(const char *what, void (*forge)(ucontext_t *), int handled)
{
	pid_t child = spawn();

	if (!child) {
		stack_t state = { .ss_sp = map_pages(16), .ss_size = 16 * PAGE };

		without_core();
		sigaltstack(&state, NULL);
		if (handled)
			set_action(SIGSEGV, exit_by, SA_ONSTACK);
		if (handled)
			set_action(SIGBUS, exit_by, SA_ONSTACK);
		change = forge;
		kill(getpid(), SIGUSR1);
		asm volatile("push %%rax\n\tpop %%rax" : : : "memory");
		_exit(0);
	}
	reap(what, child);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	unsigned short cs;
	long flags;
	pid_t child;

	sigaction(SIGUSR1, &action, NULL);
	change = all_flags;
	flags = flags_after();
	say("set:%s%s%s%s, IF %d\n", flags & NT ? " NT" : "", flags & IOPL ? " IOPL" : "",
	    flags & VM ? " VM" : "", flags & ID ? " ID" : "", !!(flags & IF));
	change = no_flags;
	flags = flags_after();
	say("cleared: IF %d, reserved %d\n", !!(flags & IF), !!(flags & 2));

	change = block_all;
	kill(getpid(), SIGUSR1);
	CHECK(get_mask() == ~(BIT(SIGKILL) | BIT(SIGSTOP)));
	set_mask(0);

	for (int handled = 0; handled < 2; handled++) {
		say("%s\n", handled ? "SIGSEGV is handled" : "SIGSEGV is not handled");
		show_end("unmapped RIP", odd_rip, handled);
		show_end("RIP in the kernel", kernel_rip, handled);
		show_end("RIP not canonical", no_rip, handled);
		show_end("RSP not canonical", no_rsp, handled);
		show_end("no FPU state", no_fpstate, handled);
		show_end("FPU state not mapped", bad_fpstate, handled);
		show_end("FPU state in the kernel", kernel_fpstate, handled);
	}
	/* The segments are ring 3's, whatever the frame says, or it dies. */
	child = spawn();
	if (!child) {
		without_core();
		change = kernel_segments;
		kill(getpid(), SIGUSR1);
		asm volatile("mov %%cs, %0" : "=r"(cs));
		_exit((cs & 3) == 3 ? 0 : 1);
	}
	reap("segments", child);
	/* No frame at all. */
	child = spawn();
	if (!child) {
		without_core();
		asm volatile("mov $8, %%esp\n\tmov %0, %%eax\n\tsyscall\n\thlt"
			     : : "i"(SYS_rt_sigreturn));
	}
	reap("no frame", child);
	return report_status();
}
