/* Is code that one side rewrites, and runs, not rewritten for the other? */
#include "process.h"

/* mov eax, imm32; ret */
static const unsigned char code[] = { 0xb8, 1, 0, 0, 0, 0xc3 };

int main(void)
{
	unsigned char *page = (unsigned char *)map_pages(1);
	int (*function)(void) = (int (*)(void))page;
	volatile int *step = share_pages(1);
	pid_t child;

	memcpy(page, code, sizeof(code));
	mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	SHOW(function());
	child = spawn();
	if (!child) {
		SHOW(function());
		page[1] = 2;
		SHOW(function());
		*step = 1;
		wait_for(step, 2);
		SHOW(function());
		_exit(0);
	}
	wait_for(step, 1);
	SHOW(function());
	page[1] = 3;
	SHOW(function());
	*step = 2;
	reap("child", child);
	SHOW(function());

	/* The same for the program's own text. */
	child = spawn();
	if (!child) {
		unsigned char *text = (unsigned char *)((uintptr_t)signal_name & -PAGE);

		if (mprotect(text, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
			die("make the text writable");
		*(volatile unsigned char *)signal_name = 0xcc;
		_exit(*(volatile unsigned char *)signal_name);
	}
	reap("child", child);
	CHECK(*(volatile unsigned char *)signal_name != 0xcc);
	say("%s\n", signal_name(SIGUSR1));
	return report_status();
}
