/* Does set_tid_address(2) return the thread's number and store nothing? */
#include "report.h"

int main(void)
{
	static int place = 77;

	CHECK(CALL_OK(set_tid_address, &place) == syscall(SYS_gettid));
	SHOW(place);
	CHECK(CALL_OK(set_tid_address, NULL) == getpid());
	/* The address is not looked at. */
	CHECK(CALL_OK(set_tid_address, (void *)8) == getpid());
	CHECK(CALL_OK(set_tid_address, &place) == getpid());
	return report_status();
}
