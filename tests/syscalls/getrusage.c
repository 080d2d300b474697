/* Do the resources that getrusage(2) counts only grow, and whose does it know? */
#include "report.h"
#include <sys/resource.h>

#define NR_PAGES 64

static int64_t user_time(const struct rusage *usage)
{
	return usage->ru_utime.tv_sec * 1000000LL + usage->ru_utime.tv_usec;
}

int main(void)
{
	struct rusage before, after;
	char *region;

	CALL(getrusage, RUSAGE_SELF, &before);
	CHECK(before.ru_utime.tv_usec >= 0 && before.ru_utime.tv_usec < 1000000);
	CHECK(before.ru_stime.tv_usec >= 0 && before.ru_stime.tv_usec < 1000000);
	CHECK(before.ru_maxrss > 0);
	CHECK(before.ru_minflt > 0);
	region = map_pages(NR_PAGES);
	for (int i = 0; i < NR_PAGES; i++)
		region[i * PAGE] = 1;
	CALL(getrusage, RUSAGE_SELF, &after);
	CHECK(after.ru_minflt > before.ru_minflt);
	CHECK(after.ru_maxrss >= before.ru_maxrss);
	CHECK(user_time(&after) >= user_time(&before));

	/* There is one thread and there are no children. */
	CALL(getrusage, RUSAGE_THREAD, &after);
	CHECK(after.ru_minflt > 0);
	CALL(getrusage, RUSAGE_CHILDREN, &after);
	SHOW(user_time(&after));
	SHOW(after.ru_minflt);
	SHOW(after.ru_maxrss);

	CALL(getrusage, 99, &after);
	CALL(getrusage, -2, &after);
	CALL(getrusage, RUSAGE_SELF, NULL);
	CALL(getrusage, 99, NULL);
	return report_status();
}
