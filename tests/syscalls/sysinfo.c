/* Do the numbers of sysinfo(2) make sense together? */
#include "report.h"
#include <sys/sysinfo.h>

int main(void)
{
	struct sysinfo info;

	memset(&info, 0xff, sizeof(info));
	CALL(sysinfo, &info);
	CHECK(info.mem_unit >= 1);
	CHECK(info.totalram > 0 && info.freeram > 0);
	CHECK(info.freeram <= info.totalram);
	CHECK(info.sharedram <= info.totalram && info.bufferram <= info.totalram);
	CHECK(info.freeswap <= info.totalswap);
	CHECK(info.totalhigh == 0 && info.freehigh == 0);
	CHECK(info.procs >= 1);
	CHECK(info.uptime >= 0);
	CHECK(info.uptime <= clock_now(CLOCK_BOOTTIME) / 1000000000 + 1);
	CALL(sysinfo, NULL);
	return report_status();
}
