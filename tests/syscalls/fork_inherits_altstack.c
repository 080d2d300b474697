/* Has a child its parent's alternate signal stack? */
#include "process.h"

static char stack[4 * PAGE];

static int show_stack(void *who)
{
	stack_t now;

	sigaltstack(NULL, &now);
	say("%s: %s, size %ld, %s\n", (char *)who, now.ss_flags & SS_DISABLE ? "disabled" : "enabled",
	    (long)now.ss_size, now.ss_sp == stack ? "the parent's" : "none");
	return 0;
}

int main(void)
{
	stack_t new = { .ss_sp = stack, .ss_size = sizeof(stack) };
	pid_t child;

	sigaltstack(&new, NULL);
	show_stack("parent");
	child = spawn();
	if (!child) {
		show_stack("fork");
		_exit(0);
	}
	reap("fork", child);
	reap("clone", start(show_stack, SIGCHLD, "clone"));
	reap("clone, shared memory", start(show_stack, CLONE_VM | SIGCHLD, "clone, shared memory"));
	reap("clone, as vfork",
	     start(show_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, "clone, as vfork"));
	return report_status();
}
