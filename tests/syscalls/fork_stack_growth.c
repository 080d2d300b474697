/* Can the stack of both sides grow after fork(2), and apart? */
#include "process.h"

static int depth_sum(int depth, char fill)
{
	volatile char frame[PAGE];
	int sum;

	for (int i = 0; i < PAGE; i++)
		frame[i] = fill;
	sum = depth ? depth_sum(depth - 1, fill) : 0;
	for (int i = 0; i < PAGE; i++)
		sum += frame[i] == fill;
	return sum;
}

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child;

	SHOW(depth_sum(10, 'a'));
	child = spawn();
	if (!child) {
		SHOW(depth_sum(100, 'c'));
		*step = 1;
		wait_for(step, 2);
		SHOW(depth_sum(50, 'd'));
		_exit(0);
	}
	wait_for(step, 1);
	SHOW(depth_sum(60, 'p'));
	*step = 2;
	reap("child", child);
	SHOW(depth_sum(100, 'q'));
	return report_status();
}
