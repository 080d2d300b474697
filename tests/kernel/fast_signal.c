/*
 * Take signals in many ways, and print all that their frames hold: the same
 * whoever builds them. See test_fast_signal.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { FPU = 512, FRAME = 440 };

static volatile uint64_t digest;
static volatile int runs;

static void add(const void *data, unsigned long size)
{
	const unsigned char *bytes = data;

	for (unsigned long i = 0; i < size; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t mask;

	runs++;
	digest = (digest ^ signal) * 0x100000001b3;
	add((char *)uc - 8, FRAME);
	add(info, sizeof(*info));
	add(uc->uc_mcontext.fpregs, FPU);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	add(&mask, sizeof(mask));
}

static void sender(int signal, siginfo_t *info, void *context)
{
	handler(signal, info, context);
	if (runs < 40)
		kill(getpid(), signal == SIGUSR1 ? SIGUSR2 : SIGUSR1);
}

static void set(int signal, int flags, void (*action)(int, siginfo_t *, void *), uint64_t mask)
{
	struct sigaction sa = { .sa_sigaction = action, .sa_flags = SA_SIGINFO | flags };

	memcpy(&sa.sa_mask, &mask, sizeof(mask));
	sigaction(signal, &sa, NULL);
}

static void show(const char *what)
{
	uint64_t mask;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	printf("%s: %d runs, digest %#lx, mask %#lx\n", what, runs, digest, mask);
	fflush(stdout);
	runs = 0;
	digest = 0;
}

/* Send ourselves a signal with the stack pointer at an address. */
static void kill_at(char *sp, int signal)
{
	asm volatile("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\tsyscall\n\tmov %%rbx, %%rsp"
		     : : "r"(sp), "a"(SYS_kill), "D"(getpid()), "S"(signal)
		     : "rbx", "rcx", "r11", "memory");
}

static void own_child(const char *what, char *sp, char *protect)
{
	int status;

	fflush(stdout);
	if (!fork()) {
		if (protect)
			mprotect(protect, 4096, PROT_READ);
		kill_at(sp, SIGUSR1);
		show(what);
		_exit(0);
	}
	wait(&status);
	printf("%s: status %#x\n", what, status);
}

int main(void)
{
	char *area = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int mxcsr = 0x3f80;
	union sigval value = { .sival_int = 5 };
	sigset_t none, usr1;

	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	set(SIGUSR1, 0, handler, 0);
	for (int i = 0; i < 10; i++)
		kill(getpid(), SIGUSR1);
	show("plain");
	set(SIGUSR1, SA_NODEFER, handler, 1UL << 20 | 1UL << 50);
	raise(SIGUSR1);
	show("a mask");
	set(SIGUSR1, 0, sender, 0);
	set(SIGUSR2, SA_RESTART, sender, 0);
	kill(getpid(), SIGUSR1);
	show("nested");
	set(SIGUSR1, SA_RESETHAND, handler, 0);
	kill(getpid(), SIGUSR1);
	set(SIGUSR1, 0, handler, 0);
	sigqueue(getpid(), SIGUSR1, value);
	set(40, 0, handler, 0);
	sigqueue(getpid(), 40, value);
	show("others");

	sigprocmask(SIG_BLOCK, &usr1, NULL);
	for (int i = 0; i < 3; i++) {
		kill(getpid(), SIGUSR1);
		kill(getpid(), SIGUSR1);
		errno = 0;
		sigsuspend(&none);
		digest += errno;
	}
	show("sigsuspend");
	set(SIGUSR2, 0, handler, 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	show("one blocked");
	sigprocmask(SIG_SETMASK, &none, NULL);
	show("not blocked");

	/* The stack: fresh pages, one of the zero page, over the end of a page, shared, read-only. */
	kill_at(area + 8 * 4096, SIGUSR1);
	digest += area[4 * 4096];
	kill_at(area + 5 * 4096 + 300, SIGUSR1);
	kill_at(area + 3 * 4096 + 17, SIGUSR1);
	show("on fresh pages");
	own_child("copied on write", area + 8 * 4096 - 64, NULL);
	own_child("read-only", area + 8 * 4096 - 64, area + 7 * 4096);
	own_child("partly read-only", area + 7 * 4096 + 400, area + 6 * 4096);
	own_child("not mapped", (char *)0x1000, NULL);
	own_child("the kernel's", (char *)0xffff888000100000, NULL);
	own_child("not canonical", (char *)(1UL << 60), NULL);
	own_child("at zero", NULL, NULL);
	own_child("near the end of user space", (char *)0x7fffffffeff8, NULL);
	return 0;
}
