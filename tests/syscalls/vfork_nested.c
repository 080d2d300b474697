/* Can vfork(2) children have such children themselves, and who waits for whom? */
#include "process.h"

static volatile int order[8], count;
static volatile pid_t child[3];

int main(void)
{
	child[0] = vfork();
	if (!child[0]) {
		order[count++] = 1;
		child[1] = vfork();
		if (!child[1]) {
			order[count++] = 2;
			child[2] = vfork();
			if (!child[2]) {
				order[count++] = 3;
				_exit(3);
			}
			order[count++] = 4;
			_exit(2);
		}
		order[count++] = 5;
		_exit(1);
	}
	order[count++] = 6;
	for (int i = 0; i < 6; i++)
		say("%d ", order[i]);
	say("\n");
	reap("child", child[0]);
	/* The others have lost their parents. */
	CALL(wait4, -1, NULL, 0, NULL);
	return report_status();
}
