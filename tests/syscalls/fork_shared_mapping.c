/* Is a shared mapping the same memory for all of a family, also where nobody has been yet? */
#include "process.h"

#define NR_CHILDREN 10

int main(void)
{
	volatile int *count = share_pages(4);
	char *page = (char *)share_pages(3);
	pid_t child[NR_CHILDREN];

	page[0] = 'p';
	for (int i = 0; i < NR_CHILDREN; i++) {
		child[i] = spawn();
		if (!child[i]) {
			pid_t grandchild = spawn();

			for (int j = 0; j < 100; j++)
				__atomic_add_fetch(&count[PAGE / 4], 1, __ATOMIC_SEQ_CST);
			if (grandchild)
				waitpid(grandchild, NULL, 0);
			else
				page[PAGE + i] = 'a' + i;
			_exit(0);
		}
	}
	for (int i = 0; i < NR_CHILDREN; i++)
		waitpid(child[i], NULL, 0);
	SHOW(count[PAGE / 4]);
	SHOW(count[0]);
	say("%c %s\n", page[0], page + PAGE);

	/* Taken away on one side, it is still there on the other. */
	child[0] = spawn();
	if (!child[0]) {
		munmap(page, 3 * PAGE);
		show_access("child", page, 3);
		_exit(0);
	}
	reap("child", child[0]);
	show_access("parent", page, 3);
	say("%c %s\n", page[0], page + PAGE);
	return report_status();
}
