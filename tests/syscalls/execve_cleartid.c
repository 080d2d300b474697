/* Does a child that shares memory clear its word when it leaves for another program? */
#include "process.h"

static volatile pid_t word;

static int executes(void *unused)
{
	(void)unused;
	execve("/proc/self/exe", (char *[]){ "again", NULL }, NULL);
	return 127;
}

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		raise(SIGSTOP);
		return 4;
	}
	word = 4711;
	child = clone(executes, new_stack(), CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL,
		      NULL, &word);
	await(child, WSTOPPED);
	SHOW(word);
	/* The program ends without a second time. */
	word = 4712;
	kill(child, SIGCONT);
	reap("child", child);
	SHOW(word);
	return report_status();
}
