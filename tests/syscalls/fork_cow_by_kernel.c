/* Is what the kernel writes for one side not seen by the other? */
#include "process.h"

static char buffer[PAGE] __attribute__((aligned(4096))) = "before";
static char other[PAGE] __attribute__((aligned(4096))) = "before";

int main(void)
{
	volatile int *step = share_pages(1);
	pid_t child;
	int fd;

	enter_scratch("fork_cow_by_kernel");
	fd = make_file("file", "from the file");
	child = spawn();
	if (!child) {
		CALL(pread64, fd, buffer, 13L, 0L);
		say("child: %s, %s\n", buffer, other);
		_exit(0);
	}
	reap("child", child);
	say("parent: %s, %s\n", buffer, other);
	child = spawn();
	if (!child) {
		wait_for(step, 1);
		say("child: %s, %s\n", buffer, other);
		_exit(0);
	}
	CALL(pread64, fd, other, 13L, 0L);
	*step = 1;
	reap("child", child);
	say("parent: %s, %s\n", buffer, other);
	unlink("file");
	leave_scratch();
	return report_status();
}
