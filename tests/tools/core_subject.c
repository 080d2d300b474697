/*
 * Crash three calls deep while another thread sleeps, and print the core. See
 * test_gdb_core.py.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 65536 };

int table[4] = { 11, 22, 33, 44 };
double ratio;
volatile int asleep;

static int sleeping_thread(void *unused)
{
	(void)unused;
	asleep = 1;
	for (;;)
		pause();
	return 0;
}

__attribute__((noinline)) static void inner(int *where, int number)
{
	register double kept asm("xmm7") = 2.5;

	table[number] = 55;
	asm volatile("movl %1, (%0)" : : "r"(where), "r"(number), "x"(kept) : "memory");
}

__attribute__((noinline)) static void middle(int number)
{
	inner((int *)0x1230, number + 1);
	ratio = number;
}

__attribute__((noinline)) static void outer(const char *text)
{
	middle(text[0] - 'a');
	ratio = 2;
}

int main(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char bytes[65536];
	ssize_t size;
	int status, core;

	if (chdir("/tmp"))
		return 1;
	if (!fork()) {
		char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		setrlimit(RLIMIT_CORE, &unlimited);
		clone(sleeping_thread, stack + STACK,
		      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		      CLONE_SYSVSEM, NULL);
		while (!asleep)
			usleep(1000);
		usleep(5000);
		outer("beta");
	}
	if (wait(&status) < 0 || !WCOREDUMP(status))
		return 2;
	core = open("core", O_RDONLY);
	while ((size = read(core, bytes, sizeof(bytes))) > 0)
		if (write(STDOUT_FILENO, bytes, size) != size)
			return 3;
	unlink("core");
	return size ? 4 : 0;
}
