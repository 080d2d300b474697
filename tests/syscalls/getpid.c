/* How do the numbers of process, thread, group, session and parent relate? */
#include "report.h"

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	int pid = CALL_OK(getpid);

	CHECK(pid > 0);
	CHECK(CALL_OK(getpid) == pid);
	CHECK(CALL_OK(gettid) == pid);
	CHECK(CALL_OK(getppid) != pid);
	CHECK(CALL_OK(getpgrp) >= 0);
	CHECK(CALL_OK(getpgid, 0) == getpgrp());
	CHECK(CALL_OK(getpgid, pid) == getpgrp());
	CHECK(CALL_OK(getsid, 0) == getsid(pid));
	CALL(getpgid, NO_SUCH_PID);
	CALL(getpgid, -1);
	CALL(getsid, NO_SUCH_PID);
	CALL(getsid, -1);
	return report_status();
}
