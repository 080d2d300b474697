/* May a parent be killed or stopped that waits for its vfork(2) child, and what of the child? */
#include "process.h"

static volatile int *step;
static volatile pid_t child;

static pid_t start_parent(void)
{
	pid_t parent;

	step[0] = step[1] = 0;
	parent = spawn();
	if (!parent) {
		child = vfork();
		if (!child) {
			step[1] = getpid();
			step[0] = 1;
			wait_for(step, 2);
			child = 4711;
			_exit(child == 4711 ? 5 : 6);
		}
		step[2] = child;
		waitpid(child, NULL, WNOHANG);
		_exit(7);
	}
	wait_for(step, 1);
	return parent;
}

int main(void)
{
	pid_t parent;
	int status;

	step = share_pages(1);
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	parent = start_parent();
	/* Nothing but a signal that kills disturbs it, and SIGSTOP only when the child is done. */
	kill(parent, SIGSTOP);
	pause_ms(5);
	CALL(wait4, parent, &status, WNOHANG | WUNTRACED, NULL);
	step[0] = 2;
	CHECK(waitpid(parent, &status, WUNTRACED) == parent);
	show_wait_status("parent", status);
	kill(parent, SIGCONT);
	reap("parent", parent);
	waitpid(step[1], NULL, 0);

	parent = start_parent();
	kill(parent, SIGKILL);
	reap("parent", parent);
	/* The memory is still there for the child. */
	step[0] = 2;
	reap("child", step[1]);
	return report_status();
}
