/* Whose group and session may be asked for, and who is not there? */
#include "process.h"

int main(void)
{
	CHECK(getpgid(0) == getpgrp());
	CHECK(getpgid(getpid()) == getpgrp());
	CHECK(syscall(SYS_getpgrp) == getpgrp());
	CHECK(getsid(getpid()) == getsid(0));
	CHECK(getpgid(getppid()) >= 0);
	CALL(getpgid, -1);
	CALL(getsid, -1);
	CALL(getpgid, 0x7fffffff);
	CALL(getsid, 0x7fffffff);
	CALL(getpgid, (int)0x80000000);
	CALL(getsid, (int)0x80000000);
	CALL_OK(getpgid, 1);
	CALL_OK(getsid, 1);
	return report_status();
}
