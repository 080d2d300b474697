/* Does RLIMIT_CPU send SIGXCPU each second beyond the soft limit, and kill at the hard one? */
#include "timer.h"

static pid_t limited(rlim_t soft, rlim_t hard, void (*handler)(int))
{
	struct rlimit limit = { soft, hard };
	pid_t child = spawn();

	if (child)
		return child;
	without_core();
	if (handler)
		set_action(SIGXCPU, handler, 0);
	if (setrlimit(RLIMIT_CPU, &limit))
		die("set the limit");
	for (;;)
		if (ticks) {
			getrlimit(RLIMIT_CPU, &limit);
			SHOW(limit.rlim_cur); /* the next second */
			_exit(5);
		}
}

int main(void)
{
	struct rlimit limit = { 0, 100 };
	volatile int *go = share_pages(1);
	pid_t child;

	reap("no handler", limited(0, 100, NULL));
	reap("handler", limited(0, 100, count_tick));
	reap("hard limit", limited(0, 0, count_tick));
	reap("ignored, hard limit", limited(0, 0, SIG_IGN));

	/* A child has its parent's limit. */
	child = spawn();
	if (!child) {
		limit.rlim_cur = 1;
		set_action(SIGXCPU, SIG_DFL, 0);
		setrlimit(RLIMIT_CPU, &limit);
		child = spawn();
		if (!child) {
			without_core();
			getrlimit(RLIMIT_CPU, &limit);
			SHOW(limit.rlim_cur);
			SHOW(limit.rlim_max);
			_exit(0);
		}
		reap("grandchild", child);
		_exit(0);
	}
	reap("child", child);

	/* Set from outside. */
	child = spawn();
	if (!child) {
		without_core();
		*go = 1;
		for (;;)
			;
	}
	wait_for(go, 1);
	limit = (struct rlimit){ 0, 100 };
	SHOW(syscall(SYS_prlimit64, child, RLIMIT_CPU, &limit, NULL));
	reap("by its parent", child);
	return report_status();
}
