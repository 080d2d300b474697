/* Does gettimeofday(2) agree with the realtime clock? */
#include "report.h"
#include <sys/time.h>

int main(void)
{
	struct timezone zone;
	struct timeval now;
	int64_t before = clock_now(CLOCK_REALTIME) / 1000, after;
	int64_t between;

	CALL(gettimeofday, &now, NULL);
	after = clock_now(CLOCK_REALTIME) / 1000;
	between = now.tv_sec * 1000000LL + now.tv_usec;
	CHECK(now.tv_usec >= 0 && now.tv_usec < 1000000);
	CHECK(before <= between && between <= after);
	CALL(gettimeofday, &now, &zone);
	CALL(gettimeofday, NULL, &zone);
	CALL(gettimeofday, NULL, NULL);
	CALL(gettimeofday, (void *)8, NULL);
	CALL(gettimeofday, NULL, (void *)8);
	return report_status();
}
