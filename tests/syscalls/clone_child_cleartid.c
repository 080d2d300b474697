/* When does CLONE_CHILD_CLEARTID clear the word? */
#include "process.h"

static volatile int *word;

static int child_main(void *status)
{
	while (!status)
		pause_ms(10000);
	if (*word)
		return (long)status;
	return 99;
}

static pid_t start_child(int flags, long status)
{
	pid_t child;

	*word = 4711;
	child = clone(child_main, new_stack(), flags | CLONE_CHILD_CLEARTID | SIGCHLD,
		      (void *)status, NULL, NULL, word);
	if (child < 0)
		die("clone");
	return child;
}

int main(void)
{
	volatile int own = 4711;
	pid_t child;

	word = share_pages(1);
	/* In the memory of a process that ends nobody could see it: it is left alone. */
	reap("alone", start_child(0, 1));
	SHOW(*word);
	/* But in memory that others use it is cleared, when the child is done with it. */
	reap("shared", start_child(CLONE_VM, 2));
	SHOW(*word);
	word = &own;
	reap("shared", start_child(CLONE_VM, 3));
	SHOW(own);
	/* Killed, it clears the word all the same. */
	child = start_child(CLONE_VM, 0);
	kill(child, SIGKILL);
	reap("killed", child);
	SHOW(own);
	return report_status();
}
