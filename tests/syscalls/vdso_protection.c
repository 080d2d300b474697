/* Is the vDSO not to be written, or only in a copy of one's own; and what is left when it goes? */
#include "vdso.h"

int main(void)
{
	struct timespec time;
	volatile char *word;
	pid_t child;

	if (!open_vdso())
		die("find the vDSO");
	child = spawn();
	if (!child) {
		without_core();
		*(volatile char *)vdso_start = 1;
		_exit(0);
	}
	reap("a write", child);
	SHOW(readable(vdso_start));
	CALL(clock_gettime, CLOCK_MONOTONIC, (void *)vdso_start);

	/* A debugger's way: a private copy. */
	word = (volatile char *)vdso_start + 6; /* e_ident[EI_VERSION] */
	child = spawn();
	if (!child) {
		CHECK(!mprotect((void *)vdso_start, vdso_size, PROT_READ | PROT_WRITE | PROT_EXEC));
		*word = 99;
		SHOW(*word);
		CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
		_exit(0);
	}
	reap("a copy", child);
	SHOW(*word);

	child = spawn();
	if (!child) {
		CHECK(!munmap((void *)vdso_start, vdso_size));
		SHOW(readable(vdso_start));
		CALL(clock_gettime, CLOCK_MONOTONIC, &time); /* the call is still there */
		without_core();
		*word;
		_exit(0);
	}
	reap("without it", child);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
	return report_status();
}
