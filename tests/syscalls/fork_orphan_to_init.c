/* Does a process without a parent go past those that are no reapers, and is it not ours? */
#include "process.h"

int main(void)
{
	volatile pid_t *seen = share_pages(1);
	volatile int *step = (volatile int *)seen + 16;
	pid_t child = spawn();

	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			seen[0] = getpid();
			step[0] = 1;
			wait_for(step, 2);
			seen[1] = getppid();
			step[0] = 3;
			_exit(0);
		}
		wait_for(step, 1);
		_exit(0);
	}
	reap("child", child);
	CALL(wait4, seen[0], NULL, 0, NULL);
	CALL(kill, seen[0], 0);
	step[0] = 2;
	wait_for(step, 3);
	CHECK(seen[1] != getpid() && seen[1] != child && seen[1] > 0);
	return report_status();
}
