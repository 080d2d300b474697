/* Does siglongjmp(3) out of a handler, again and again, leave everything right? */
#include "signals.h"
#include <setjmp.h>

static sigjmp_buf back;
static char stack[32768];
static volatile int caught;

static void handler(int signal)
{
	caught++;
	siglongjmp(back, signal);
}

static void show_jumps(const char *what, int flags, int save)
{
	say("%s\n", what);
	set_action(SIGUSR1, handler, flags);
	set_mask(0);
	caught = 0;
	for (volatile int i = 0; i < 1000; i++) {
		if (!sigsetjmp(back, save)) {
			kill(getpid(), SIGUSR1);
			say("not reached\n");
			return;
		}
		if (!save && is_blocked(SIGUSR1) != !(flags & SA_NODEFER))
			say("mask\n");
		set_mask(0);
	}
	SHOW(caught);
}

int main(void)
{
	stack_t state = { .ss_sp = stack, .ss_size = sizeof(stack) };
	volatile int faults = 0;

	show_jumps("normal stack", 0, 1);
	show_jumps("mask not restored", 0, 0);
	show_jumps("SA_NODEFER", SA_NODEFER, 0);
	sigaltstack(&state, NULL);
	show_jumps("alternate stack", SA_ONSTACK, 1);
	CALL(sigaltstack, NULL, &state);
	SHOW(state.ss_flags); /* the stack is ours again */

	set_action(SIGSEGV, handler, SA_ONSTACK);
	for (volatile int i = 0; i < 3; i++)
		if (sigsetjmp(back, 1))
			faults++;
		else
			*(volatile int *)8 = 1;
	SHOW(faults);
	CHECK(get_mask() == 0);
	return report_status();
}
