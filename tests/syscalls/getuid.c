/* Are the real and the effective user and group the same, and what does getgroups(2) refuse? */
#include "report.h"
#include <sys/auxv.h>

static gid_t groups[65536];

int main(void)
{
	long nr_groups;

	CALL(getuid);
	CHECK(getuid() == geteuid());
	CALL(geteuid);
	CALL(getgid);
	CHECK(getgid() == getegid());
	CALL(getegid);
	/* The kernel told the program at its start, too. */
	CHECK(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
	CHECK(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
	CHECK(getauxval(AT_SECURE) == 0);

	nr_groups = CALL_OK(getgroups, 0, NULL);
	CHECK(CALL_OK(getgroups, 65536, groups) == nr_groups);
	CALL(getgroups, -1, groups);
	return report_status();
}
