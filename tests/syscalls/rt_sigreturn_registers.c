/* Has an interrupted program all its registers again, and what may its handler change? */
#include "signals.h"

static volatile unsigned long context_registers[16];
static int add;

static void handler(int signal, siginfo_t *info, void *context)
{
	static const int order[] = { REG_RBX, REG_RBP, REG_R8, REG_R9, REG_R10, REG_R12,
				     REG_R13, REG_R14, REG_R15, REG_RDX };
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		context_registers[i] = regs[order[i]];
		regs[order[i]] += add;
	}
	/* Spoil what the function calls may. */
	asm volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r15d, %%r15d\n\tstd\n\tcld"
		     : : : "rbx", "r12", "r15", "memory");
}

static unsigned long out[14];
static int self;

/* kill(self, SIGUSR1) with known values in all registers; they are stored afterwards. */
static __attribute__((noinline)) void send_all(void)
{
	asm volatile(
		"push %%rbp\n\t"
		"sub $128, %%rsp\n\t"          /* the red zone is this program's, too */
		"movq $0x77, 120(%%rsp)\n\t"
		"mov %[self], %%edi\n\t"
		"mov %[usr1], %%esi\n\t"
		"mov $1, %%ebx\n\tmov $2, %%ebp\n\tmov $3, %%r8d\n\tmov $4, %%r9d\n\t"
		"mov $5, %%r10d\n\tmov $6, %%r12d\n\tmov $7, %%r13d\n\tmov $8, %%r14d\n\t"
		"mov $9, %%r15d\n\tmov $10, %%edx\n\t"
		"movq $0x55, -8(%%rsp)\n\tmovq $0x66, -128(%%rsp)\n\t"
		"mov %[kill], %%eax\n\t"
		"stc\n\t"
		"syscall\n\t"
		"setc %%cl\n\t"
		"mov -8(%%rsp), %%rsi\n\tmov -128(%%rsp), %%rdi\n\t"
		"lea %[out], %%r11\n\t"
		"mov %%rbx, (%%r11)\n\tmov %%rbp, 8(%%r11)\n\tmov %%r8, 16(%%r11)\n\t"
		"mov %%r9, 24(%%r11)\n\tmov %%r10, 32(%%r11)\n\tmov %%r12, 40(%%r11)\n\t"
		"mov %%r13, 48(%%r11)\n\tmov %%r14, 56(%%r11)\n\tmov %%r15, 64(%%r11)\n\t"
		"mov %%rdx, 72(%%r11)\n\tmov %%rsi, 80(%%r11)\n\tmov %%rdi, 88(%%r11)\n\t"
		"movzbl %%cl, %%ecx\n\tmov %%rcx, 96(%%r11)\n\tmov %%rax, 104(%%r11)\n\t"
		"add $128, %%rsp\n\t"
		"pop %%rbp"
		: [out] "=m"(out) : [self] "m"(self), [usr1] "i"(SIGUSR1), [kill] "i"(SYS_kill)
		: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		  "r14", "r15", "memory");
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	self = getpid();
	sigaction(SIGUSR1, &action, NULL);
	for (add = 0; add < 2; add++) {
		send_all();
		say("changed by %d\n", add);
		for (int i = 0; i < 10; i++)
			say("  %lu in the frame, %lu after it\n", context_registers[i], out[i]);
		say("  red zone %#lx %#lx, carry %lu, result %ld\n", out[10], out[11], out[12],
		    (long)out[13]);
	}
	return report_status();
}
