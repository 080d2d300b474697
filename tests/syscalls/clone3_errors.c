/* Which arguments does clone3(2) refuse? */
#include "process.h"
#include <linux/sched.h>

#define REFUSED(...)                                                           \
	do {                                                                   \
		args = (struct clone_args){ __VA_ARGS__ };                     \
		show(#__VA_ARGS__, syscall(SYS_clone3, &args, sizeof(args)));  \
	} while (0)

int main(void)
{
	struct { struct clone_args known; unsigned long more[20]; } longer = {};
	struct clone_args args = { .exit_signal = SIGCHLD };
	char *pages = map_pages(3);
	pid_t number = 1;

	CALL(clone3, NULL, sizeof(args));
	CALL(clone3, (void *)8, sizeof(args));
	CALL(clone3, &args, 0L);
	CALL(clone3, &args, 63L);
	CALL(clone3, &args, PAGE + 1);
	CALL(clone3, &args, -1L);
	longer.more[19] = 1;
	CALL(clone3, &longer, sizeof(longer));
	/* The structure ends where memory does. */
	munmap(pages + PAGE, PAGE);
	CALL(clone3, pages + PAGE - 32, 64L);

	REFUSED(.flags = 1UL << 40);
	REFUSED(.flags = SIGCHLD);
	REFUSED(.flags = 0x400000 /* CLONE_DETACHED */);
	REFUSED(.flags = CLONE_SIGHAND);
	REFUSED(.flags = CLONE_THREAD | CLONE_VM);
	REFUSED(.flags = CLONE_FS | CLONE_NEWNS);
	REFUSED(.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD);
	REFUSED(.flags = CLONE_PARENT, .exit_signal = SIGCHLD);
	REFUSED(.exit_signal = 65);
	REFUSED(.exit_signal = 0x100);
	REFUSED(.exit_signal = -1UL);
	REFUSED(.stack = (uintptr_t)pages);
	REFUSED(.stack_size = PAGE);
	REFUSED(.stack = -PAGE, .stack_size = PAGE);
	REFUSED(.stack = 0x800000000000, .stack_size = PAGE);
	REFUSED(.set_tid = (uintptr_t)&number);
	REFUSED(.set_tid_size = 1);
	REFUSED(.set_tid = (uintptr_t)&number, .set_tid_size = 33);
	number = 0;
	REFUSED(.set_tid = (uintptr_t)&number, .set_tid_size = 1);
	number = -1;
	REFUSED(.set_tid = (uintptr_t)&number, .set_tid_size = 1);
	/* Nothing has been made. */
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
