/* Does a process adopt descendants that were there before it asked for it, and no more after? */
#include "process.h"

static volatile int *step;

/* A child and its child; the child ends when it is told to. */
static pid_t make_line(void)
{
	pid_t child;

	step[0] = step[1] = 0;
	child = spawn();
	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			wait_for(step, 2);
			_exit(4);
		}
		step[1] = grandchild;
		wait_for(step, 1);
		_exit(3);
	}
	while (!step[1])
		pause_ms(1);
	return child;
}

int main(void)
{
	pid_t child;

	step = share_pages(1);
	child = make_line();
	CALL(prctl, PR_SET_CHILD_SUBREAPER, 1L);
	step[0] = 1;
	reap("child", child);
	CALL(wait4, step[1], NULL, WNOHANG, NULL);
	step[0] = 2;
	reap("grandchild", step[1]);

	child = make_line();
	CALL(prctl, PR_SET_CHILD_SUBREAPER, 0L);
	step[0] = 1;
	reap("child", child);
	CALL(wait4, step[1], NULL, WNOHANG, NULL);
	step[0] = 2;
	return report_status();
}
