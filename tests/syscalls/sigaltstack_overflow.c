/* Can a handler on the alternate stack deal with the end of the normal one, and of its own? */
#include "signals.h"
#include <setjmp.h>

static sigjmp_buf back;
static char *fault;
static volatile long sink;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	fault = info->si_addr;
	siglongjmp(back, 1);
}

static void deadly(int signal)
{
	char large[20000];

	/* Over the end of the alternate stack, whose guard is no memory. */
	memset(large, signal, sizeof(large));
	sink += large[100];
	_exit(4);
}

static long overflow(long n)
{
	volatile char page[4096];

	page[0] = n;
	return n < 1000000 ? overflow(n + 1) + page[0] : 0;
}

static void use_stack(char *base, long size, void (*run)(int, siginfo_t *, void *))
{
	stack_t state = { .ss_sp = base, .ss_size = size };
	struct sigaction action = { .sa_sigaction = run, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (sigaltstack(&state, NULL) || sigaction(SIGSEGV, &action, NULL))
		die("set a stack");
}

int main(void)
{
	char *area = map_pages(16);
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	pid_t child;

	setrlimit(RLIMIT_STACK, &limit);
	for (int i = 0; i < 3; i++) {
		child = spawn();
		if (!child) {
			volatile int times = 0;

			without_core();
			mprotect(area, PAGE, PROT_NONE);
			if (i == 0)
				use_stack(area + PAGE, 15 * PAGE, handler);
			if (i == 1)
				use_stack(area + PAGE, 2 * PAGE, (void *)deadly);
			if (i == 2) /* no alternate stack */
				set_action(SIGSEGV, deadly, 0);
			if (sigsetjmp(back, 1)) {
				times++;
				CHECK(labs(fault - (char *)&child) < (2 << 20));
			}
			if (times < 3)
				sink = overflow(0);
			_exit(times);
		}
		reap(i == 0 ? "handled" : i == 1 ? "overflowed again" : "no room", child);
	}
	/* A frame that does not fit into the alternate stack. */
	child = spawn();
	if (!child) {
		stack_t state = { .ss_sp = area, .ss_size = 2048 };
		struct sigaction action = { .sa_handler = deadly, .sa_flags = SA_ONSTACK };
		char *sp = area + 600;

		without_core();
		sigaltstack(&state, NULL);
		sigaction(SIGUSR1, &action, NULL);
		/* As if a handler ran there and had used most of it. */
		asm volatile("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\tsyscall\n\tmov %%rbx, %%rsp"
			     : : "r"(sp), "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
			     : "rbx", "rcx", "r11", "memory");
		_exit(5);
	}
	reap("too small", child);
	return report_status();
}
