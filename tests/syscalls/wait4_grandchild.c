/* May a process wait for its child's child? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child = spawn();

	if (!child) {
		pid_t grandchild = spawn();

		if (!grandchild) {
			wait_for(step + 1, 1);
			_exit(7);
		}
		step[2] = grandchild;
		step[0] = 1;
		reap("grandchild", grandchild);
		_exit(8);
	}
	wait_for(step, 1);
	CALL(wait4, step[2], NULL, 0, NULL);
	CALL(wait4, step[2], NULL, __WALL, NULL);
	CALL(waitid, P_PID, step[2], NULL, WEXITED, NULL);
	step[1] = 1;
	reap("child", child);
	return report_status();
}
