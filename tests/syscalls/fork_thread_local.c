/* Are thread-local variables, errno among them, each side's own? */
#include "process.h"

static __thread int local = 1;

int main(void)
{
	unsigned long *base = share_pages(1), own;
	pid_t child;

	errno = ENOENT;
	local = 2;
	child = fork();
	if (!child) {
		CHECK(errno == ENOENT);
		SHOW(local);
		local = 3;
		errno = EPERM;
		syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, base);
		_exit(report_status());
	}
	waitpid(child, NULL, 0);
	CHECK(errno == ENOENT);
	SHOW(local);
	syscall(SYS_arch_prctl, 0x1003, &own);
	CHECK(*base == own);
	return report_status();
}
