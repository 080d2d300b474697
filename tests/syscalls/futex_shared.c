/* Do processes meet at a word that each has mapped elsewhere, and not at their own? */
#include "futex.h"

static volatile int own;

int main(void)
{
	volatile int *shared = share_pages(2), *there, *file_here, *file_there;
	int fd;
	pid_t child;

	enter_scratch("futex_shared");
	fd = make_file("file", "0123456789");
	file_here = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	file_there = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	unlink("file");
	child = spawn();
	if (!child) {
		there = mremap((void *)shared, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       map_pages(2));
		SHOW(futex(there, FUTEX_WAIT, 0, NULL, NULL, 0));
		SHOW(futex(file_there + 1, FUTEX_WAIT, file_there[1], NULL, NULL, 0));
		there[1] = 1;
		SHOW(futex(&own, FUTEX_WAIT, 0, &(struct timespec){ 0, 50000000 }, NULL, 0));
		_exit(0);
	}
	wake_one(shared, FUTEX_WAKE, 0);
	wake_one(file_here + 1, FUTEX_WAKE, 0);
	wait_for(&shared[1], 1);
	pause_ms(10);
	SHOW(futex(&own, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOW(futex(file_here, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("child", child);
	leave_scratch();
	return report_status();
}
