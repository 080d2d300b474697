/* Does abort(3) end a process that ignores, blocks or handles SIGABRT? */
#include "signals.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile int *runs;

static void returns(int signal)
{
	(void)signal;
	++*runs;
}

static void jumps(int signal)
{
	++*runs;
	siglongjmp(back, signal);
}

static void show_abort(const char *what, void (*action)(int), int blocked)
{
	pid_t child = spawn();

	if (!child) {
		without_core();
		set_action(SIGABRT, action, 0);
		if (blocked)
			block(SIGABRT);
		if (sigsetjmp(back, 1))
			_exit(3);
		abort();
	}
	reap(what, child);
	SHOW(*runs);
	*runs = 0;
}

int main(void)
{
	runs = share_pages(1);
	show_abort("default", SIG_DFL, 0);
	show_abort("ignored", SIG_IGN, 0);
	show_abort("blocked", SIG_DFL, 1);
	show_abort("a handler that returns", returns, 0);
	show_abort("a handler that jumps", jumps, 0);
	show_abort("a blocked handler", returns, 1);
	return report_status();
}
