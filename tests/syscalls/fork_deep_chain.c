/* Can a hundred processes be each the child of the one before, and tell how they end? */
#include "process.h"

#define DEPTH 100

int main(void)
{
	volatile int *reached = share_pages(1);
	int local = 0;

	for (int depth = 0; depth < DEPTH; depth++) {
		int status;
		pid_t parent = getpid(), child = spawn();

		if (child) {
			if (waitpid(child, &status, 0) != child)
				_exit(255);
			if (depth)
				_exit(WEXITSTATUS(status) + 1);
			show_wait_status("chain", status);
			SHOW(*reached);
			SHOW(local);
			return report_status();
		}
		local++;
		if (getppid() == parent && local == depth + 1)
			++*reached;
	}
	_exit(0);
}
