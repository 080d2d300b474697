/* What does clone3(2) do with each field of its arguments? */
#include "process.h"
#include <linux/sched.h>

static volatile int *word;
static pid_t parent_word, child_word;

static pid_t make(struct clone_args *args, size_t size)
{
	return syscall(SYS_clone3, args, size);
}

/* The child must not return on a stack that is empty: it ends where it begins. */
static long make_on_stack(struct clone_args *args, void *seen)
{
	long result = SYS_clone3;

	asm volatile("mov %[seen], %%r12\n\t"
		     "syscall\n\t"
		     "test %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "mov %%rsp, (%%r12)\n\t"
		     "mov $60, %%eax\n\t"
		     "mov $6, %%edi\n\t"
		     "syscall\n"
		     "1:"
		     : "+a"(result)
		     : "D"(args), "S"(sizeof(*args)), [seen] "r"(seen)
		     : "rcx", "r11", "r12", "memory");
	return result;
}

int main(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	char *stack, *volatile seen;
	pid_t child;

	word = share_pages(1);
	/* As fork(2). */
	child = make(&args, sizeof(args));
	if (!child)
		_exit(1);
	reap("plain", child);

	/* The first version of the structure, and one that is longer than any. */
	child = make(&args, 64);
	if (!child)
		_exit(2);
	reap("64 bytes", child);
	struct { struct clone_args known; char more[200]; } longer = { args, "" };
	child = make(&longer.known, sizeof(longer));
	if (!child)
		_exit(3);
	reap("longer", child);

	/* Numbers are stored as clone(2) does. */
	args.flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID;
	args.parent_tid = (uintptr_t)&parent_word;
	args.child_tid = (uintptr_t)&child_word;
	child = make(&args, sizeof(args));
	if (!child)
		_exit(child_word == getpid() ? 4 : 99);
	CHECK(parent_word == child);
	reap("numbers", child);

	/* A stack is given by its lowest byte and its size. */
	stack = map_pages(4);
	args = (struct clone_args){ .flags = CLONE_VM, .exit_signal = SIGCHLD,
				    .stack = (uintptr_t)stack, .stack_size = 4 * PAGE };
	child = make_on_stack(&args, (void *)&seen);
	reap("stack", child);
	CHECK(seen == stack + 4 * PAGE);

	/* No signal: only __WALL or __WCLONE wait for it. */
	args = (struct clone_args){ .exit_signal = 0 };
	child = make(&args, sizeof(args));
	if (!child)
		_exit(7);
	await(child, WEXITED);
	CALL(wait4, child, NULL, 0, NULL);
	reap("no signal", child);

	/* CLONE_VFORK waits. */
	args = (struct clone_args){ .flags = CLONE_VFORK, .exit_signal = SIGCHLD };
	*word = 0;
	child = make(&args, sizeof(args));
	if (!child) {
		pause_ms(5);
		*word = 1;
		_exit(8);
	}
	SHOW(*word);
	reap("vfork", child);
	return report_status();
}
