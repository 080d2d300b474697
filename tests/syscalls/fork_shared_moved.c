/* Is shared memory still the same for both sides when one has moved or protected it? */
#include "process.h"

int main(void)
{
	volatile int *step = share_pages(1);
	char *page = share_pages(2);
	pid_t child;

	strcpy(page + PAGE, "before");
	child = spawn();
	if (!child) {
		char *moved = mremap(page, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     map_pages(2));

		say("child: %s\n", moved + PAGE);
		strcpy(moved, "from the child");
		mprotect(moved, PAGE, PROT_READ);
		*step = 1;
		wait_for(step, 2);
		say("child: %s\n", moved);
		show_access("child", moved, 2);
		show_access("child, old place", page, 2);
		_exit(0);
	}
	wait_for(step, 1);
	say("parent: %s\n", page);
	strcpy(page, "from the parent");
	show_access("parent", page, 2);
	*step = 2;
	reap("child", child);
	return report_status();
}
