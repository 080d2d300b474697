/* Which of its ancestors adopts an orphan? */
#include "process.h"

static volatile int *step;

/* The last tells who its parent is, when that it had has ended. */
static void last(void)
{
	pid_t parent = getppid();

	step[0] = 1;
	while (getppid() == parent)
		pause_ms(1);
	step[5] = getppid();
	step[0] = 2;
	_exit(44);
}

/* Four processes, each the child of the one before; the third ends first. */
static void make_line(int reapers)
{
	int depth = 1;

	while (depth < 4) {
		step[depth] = getpid();
		if (reapers & 1 << depth)
			prctl(PR_SET_CHILD_SUBREAPER, 1L);
		if (spawn())
			break;
		depth++;
	}
	step[depth] = getpid();
	if (depth == 4) {
		if (reapers & 1 << depth)
			prctl(PR_SET_CHILD_SUBREAPER, 1L);
		last();
	}
	wait_for(step, depth == 3 ? 1 : 2);
	while (depth < 3 && waitpid(-1, NULL, 0) > 0)
		;
	_exit(40 + depth);
}

static void show_reaper(const char *what, int reapers)
{
	pid_t child;

	memset((void *)step, 0, PAGE);
	child = spawn();
	if (!child)
		make_line(reapers);
	reap(what, child);
	for (int i = 1; i < 5; i++)
		if (step[5] == step[i])
			say("%s: adopted by %d\n", what, i);
	if (step[5] == getpid())
		say("%s: adopted by us\n", what);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int main(void)
{
	int reaper = -1;

	step = share_pages(1);
	CALL(prctl, PR_GET_CHILD_SUBREAPER, &reaper);
	SHOW(reaper);
	CALL(prctl, PR_SET_CHILD_SUBREAPER, 7L);
	CALL(prctl, PR_GET_CHILD_SUBREAPER, &reaper);
	SHOW(reaper);
	CALL(prctl, PR_GET_CHILD_SUBREAPER, (int *)8);
	show_reaper("none but us", 0);
	show_reaper("grandparent", 1 << 2);
	show_reaper("great-grandparent", 1 << 1);
	show_reaper("both: the nearest", 1 << 1 | 1 << 2);
	/* The one that ends cannot, and the orphan itself does not. */
	show_reaper("parent and child", 1 << 3 | 1 << 4);
	return report_status();
}
