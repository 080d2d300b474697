/* What does a handler learn of each exception: signal, code, address, vector, error code? */
#include "signals.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile unsigned long where;
static char *page, *file_page;

static void handler(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	unsigned long address = (unsigned long)info->si_addr, rip = regs[REG_RIP];

	say("  %s code %d errno %d vector %lld error %#llx\n", signal_name(signal), info->si_code,
	    info->si_errno, regs[REG_TRAPNO], regs[REG_ERR]);
	say("  si_addr %s\n", !address ? "0" : address == rip ? "the instruction"
		: address == (unsigned long)page ? "the page"
		: address == (unsigned long)file_page ? "the page of the file" : "something else");
	if (rip - where < 16)
		say("  rip %+ld\n", (long)(rip - where));
	siglongjmp(back, 1);
}

#define TRY(what, ...)                                                         \
	do {                                                                   \
		say("%s\n", what);                                             \
		where = 0;                                                     \
		if (!sigsetjmp(back, 1)) {                                     \
			__VA_ARGS__;                                           \
			say("  nothing\n");                                    \
		}                                                              \
	} while (0)

/* An instruction, whose address is where. */
#define RUN(code, argument)                                                        \
	asm volatile("lea 1f(%%rip), %%r8\n\tmov %%r8, %0\n1:\t" code          \
		     : "=m"(where) : "D"(argument)                             \
		     : "rax", "rcx", "rdx", "r8", "memory")

int main(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char stack[65536];
	stack_t state = { .ss_sp = stack, .ss_size = sizeof(stack) };
	int fd;

	sigaltstack(&state, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	enter_scratch("fault_siginfo");
	page = map_pages(1);
	fd = make_file("file", "text");
	file_page = (char *)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) + PAGE;
	close(fd);
	unlink("file");

	TRY("divide by zero", RUN("divl %%edi", 0));
	TRY("quotient too large", RUN("mov $-1, %%eax\n\tmov $-1, %%edx\n\tdivl %%edi", 1));
	TRY("INT3", RUN("int3", 0));
	TRY("INT 3", RUN(".byte 0xcd, 3", 0));
	TRY("INT 4", RUN("int $4", 0));
	TRY("INT 5", RUN("int $5", 0));
	TRY("INT 13", RUN("int $13", 0));
	TRY("INT 0x20", RUN("int $0x20", 0));
	TRY("INT 0xff", RUN("int $0xff", 0));
	TRY("UD2", RUN("ud2", 0));
	TRY("HLT", RUN("hlt", 0));
	TRY("CLI", RUN("cli", 0));
	TRY("IN", RUN("in $0x60, %%al", 0));
	TRY("MOV to CR0", RUN("mov %%rdi, %%cr0", 0));
	TRY("RDMSR", RUN("rdmsr", 0));
	TRY("LGDT", RUN("lgdt (%%rdi)", page));
	TRY("MOV to DS, no such selector", RUN("mov %%edi, %%ds", 0x1ff8));
	TRY("MOV to SS, null", RUN("mov %%edi, %%ss", 0));
	TRY("address not canonical", RUN("mov (%%rdi), %%al", 1L << 60));
	TRY("stack not canonical", RUN("mov %%rsp, %%rcx\n\tmov %%rdi, %%rsp\n\t"
				       "push %%rax\n\tmov %%rcx, %%rsp", 1L << 60));
	TRY("null", RUN("mov (%%rdi), %%al", 0));
	TRY("write to the kernel", RUN("movb $0, (%%rdi)", 0xffffffff81000000));
	munmap(page, PAGE);
	TRY("read, not mapped", RUN("mov (%%rdi), %%al", page));
	TRY("write, not mapped", RUN("mov %%al, (%%rdi)", page));
	TRY("call, not mapped", RUN("call *%%rdi", page));
	page = map_pages(1);
	TRY("call, not executable", RUN("call *%%rdi", page));
	mprotect(page, PAGE, PROT_READ);
	TRY("write, read only", RUN("mov %%al, (%%rdi)", page));
	TRY("behind the end of a file", RUN("mov (%%rdi), %%al", file_page));
	TRY("write behind it", RUN("mov %%al, (%%rdi)", file_page));
	leave_scratch();
	return report_status();
}
