/* Which alternate stacks does sigaltstack(2) accept and report? */
#include "report.h"

static char stack[65536];

static void show_stack(const char *what, const stack_t *state)
{
	say("%s: %s size %zu flags %#x\n", what,
	    state->ss_sp == stack ? "ours" : state->ss_sp ? "other" : "none",
	    state->ss_size, (unsigned int)state->ss_flags);
}

int main(void)
{
	stack_t new = { .ss_sp = stack, .ss_size = sizeof(stack) };
	stack_t old;

	CALL(sigaltstack, NULL, &old);
	show_stack("at first", &old);
	CALL(sigaltstack, &new, &old);
	show_stack("before", &old);
	CALL(sigaltstack, NULL, &old);
	show_stack("set", &old);
	CALL(sigaltstack, NULL, NULL);

	new.ss_size = 1024;
	CALL(sigaltstack, &new, &old);
	new.ss_size = 0;
	CALL(sigaltstack, &new, NULL);
	new = (stack_t){ .ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = 4 };
	CALL(sigaltstack, &new, NULL);
	new.ss_flags = -1;
	CALL(sigaltstack, &new, NULL);
	CALL(sigaltstack, NULL, &old);
	show_stack("refused", &old);

	/* What a program that is on the stack would see may be passed in. */
	new.ss_flags = SS_ONSTACK;
	CALL(sigaltstack, &new, NULL);
	CALL(sigaltstack, NULL, &old);
	show_stack("on stack", &old);
	new.ss_flags = 1 << 31;
	CALL(sigaltstack, &new, NULL);
	CALL(sigaltstack, NULL, &old);
	show_stack("disarmed on delivery", &old);
	/* With SS_DISABLE the rest is not looked at. */
	new = (stack_t){ .ss_sp = stack, .ss_size = 1, .ss_flags = SS_DISABLE };
	CALL(sigaltstack, &new, NULL);
	CALL(sigaltstack, NULL, &old);
	show_stack("disabled", &old);
	CALL(sigaltstack, (void *)8, NULL);
	CALL(sigaltstack, NULL, (void *)8);
	return report_status();
}
