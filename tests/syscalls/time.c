/* Does time(2) agree with the realtime clock, and does it store what it returns? */
#include "report.h"

int main(void)
{
	time_t before, now, stored = 0;

	before = clock_now(CLOCK_REALTIME_COARSE) / 1000000000;
	now = CALL_OK(time, &stored);
	CHECK(stored == now);
	CHECK(before <= now && now <= clock_now(CLOCK_REALTIME) / 1000000000);
	CHECK(CALL_OK(time, NULL) >= now);
	CALL(time, (void *)8);
	return report_status();
}
