/* Does CLONE_SETTLS set the child's FS base, and leave the parent's? */
#include "process.h"

static long area[4] = { 0x1234, 0x5678 };
static volatile long seen;

static int child_main(void *unused)
{
	long first;

	(void)unused;
	asm volatile("mov %%fs:8, %0" : "=r"(first));
	seen = first;
	/* The library's own area is not there: by the call itself. */
	asm volatile("syscall" : : "a"(SYS_exit), "D"(3));
	return 0;
}

int main(void)
{
	unsigned long before, after;
	pid_t child;

	syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &before);
	child = clone(child_main, new_stack(), CLONE_VM | CLONE_SETTLS | SIGCHLD, NULL, NULL, area,
		      NULL);
	reap("child", child);
	say("%#lx\n", seen);
	syscall(SYS_arch_prctl, 0x1003, &after);
	CHECK(before == after);
	CALL(clone, (long)CLONE_SETTLS | SIGCHLD, NULL, NULL, NULL, 1UL << 63);
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
