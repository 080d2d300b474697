/* Whose is the attribute "dumpable": the process's or the memory's? */
#include "process.h"

static int clear(void *unused)
{
	(void)unused;
	prctl(PR_SET_DUMPABLE, 0L);
	return 0;
}

int main(void)
{
	reap("child with memory of its own", start(clear, SIGCHLD, NULL));
	CALL(prctl, PR_GET_DUMPABLE);
	reap("child that shares memory", start(clear, CLONE_VM | SIGCHLD, NULL));
	CALL(prctl, PR_GET_DUMPABLE);
	return report_status();
}
