/* Which of the attributes that prctl(2) sets has a child? */
#include "process.h"

static void show_attributes(const char *who)
{
	char name[16];
	int death = -1, reaper = -1;

	prctl(PR_GET_NAME, name);
	prctl(PR_GET_PDEATHSIG, &death);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	say("%s: name %s, dumpable %d, death signal %d, subreaper %d, no new privileges %d\n", who,
	    name, prctl(PR_GET_DUMPABLE), death, reaper,
	    prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L));
}

int main(void)
{
	pid_t child;

	prctl(PR_SET_NAME, "parent's name");
	prctl(PR_SET_DUMPABLE, 0L);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	show_attributes("parent");
	child = spawn();
	if (!child) {
		show_attributes("child at first");
		prctl(PR_SET_NAME, "child's name");
		prctl(PR_SET_DUMPABLE, 1L);
		show_attributes("child");
		_exit(0);
	}
	reap("child", child);
	show_attributes("parent");
	return report_status();
}
