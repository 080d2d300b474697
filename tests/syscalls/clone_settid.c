/* In whose memory do CLONE_PARENT_SETTID and CLONE_CHILD_SETTID store the child's number? */
#include "process.h"

static pid_t parent_word = -1, child_word = -1;
static volatile int *step;

static int show_words(void *unused)
{
	(void)unused;
	wait_for(step, 1);
	CHECK(child_word == getpid());
	return 0;
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	child = clone(show_words, new_stack(),
		      CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_word,
		      NULL, &child_word);
	CHECK(parent_word == child);
	*step = 1;
	reap("child", child);
	/* That was the child's copy. */
	SHOW(child_word);

	/* In memory that is shared both are stored before either goes on. */
	parent_word = child_word = -1;
	*step = 0;
	child = clone(show_words, new_stack(),
		      CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL,
		      &parent_word, NULL, &child_word);
	CHECK(parent_word == child);
	*step = 1;
	reap("child", child);
	CHECK(child_word == child);

	/* Without the flags the addresses are not looked at; bad ones do no harm. */
	child = syscall(SYS_clone, SIGCHLD, NULL, &parent_word, &child_word, NULL);
	if (!child)
		_exit(0);
	reap("child", child);
	CHECK(parent_word != child && child_word != child);
	child = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, 8L,
			8L, NULL);
	if (!child)
		_exit(0);
	reap("child with bad addresses", child);
	return report_status();
}
