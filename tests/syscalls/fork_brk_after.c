/* Is the heap's end each side's own after fork(2)? */
#include "process.h"

int main(void)
{
	char *end = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);
	pid_t child;

	brk(end + 2 * PAGE);
	end[0] = 'a';
	end[PAGE] = 'b';
	child = spawn();
	if (!child) {
		CHECK((char *)syscall(SYS_brk, 0L) == end + 2 * PAGE);
		brk(end + 4 * PAGE);
		end[3 * PAGE] = 'c';
		show_access("child, grown", end, 4);
		brk(end + PAGE);
		show_access("child, shrunk", end, 4);
		end[0] = 'C';
		brk(end + 2 * PAGE);
		SHOW(end[PAGE]);
		_exit(report_status());
	}
	reap("child", child);
	CHECK((char *)syscall(SYS_brk, 0L) == end + 2 * PAGE);
	show_access("parent", end, 4);
	SHOW(end[0]);
	SHOW(end[PAGE]);
	brk(end);
	child = spawn();
	if (!child) {
		show_access("child of a small heap", end, 4);
		_exit(0);
	}
	reap("child", child);
	return report_status();
}
