/* What does the kernel answer for numbers that no call has? */
#include "report.h"

int main(void)
{
	SHOW(syscall(900));
	SHOW(syscall(4095));
	SHOW(syscall(100000));
	SHOW(syscall(0x7fffffff));
	SHOW(syscall(-1L));
	SHOW(syscall(-2L));
	SHOW(syscall(0x80000000L));
	/* Only the low half of the number counts: this is getpid. */
	CHECK(syscall(SYS_getpid | 1L << 32) == getpid());
	/* Calls of 32-bit Linux, or of the past, that x86-64 has not. */
	SHOW(syscall(SYS_getpmsg));
	SHOW(syscall(SYS_tuxcall));
	SHOW(syscall(SYS_vserver));
	return report_status();
}
