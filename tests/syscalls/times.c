/* Do the clock ticks of times(2) only grow? */
#include "report.h"
#include <sys/times.h>

int main(void)
{
	struct tms first, second;
	clock_t before, after;

	before = CALL_OK(times, &first);
	usleep(20000);
	after = CALL_OK(times, &second);
	CHECK(after > before);
	CHECK(first.tms_utime >= 0 && second.tms_utime >= first.tms_utime);
	CHECK(first.tms_stime >= 0 && second.tms_stime >= first.tms_stime);
	SHOW(second.tms_cutime);
	SHOW(second.tms_cstime);
	CHECK(CALL_OK(times, NULL) >= after);
	CALL(times, (void *)8);
	return report_status();
}
