/* Which combinations of flags does clone(2) refuse? */
#include "process.h"

#define CLONE_FLAGS(flags) CALL(clone, flags, NULL, NULL, NULL, NULL)

int main(void)
{
	CLONE_FLAGS((long)CLONE_SIGHAND | SIGCHLD);
	CLONE_FLAGS((long)CLONE_THREAD | SIGCHLD);
	CLONE_FLAGS((long)CLONE_THREAD | CLONE_VM);
	CLONE_FLAGS((long)CLONE_THREAD | CLONE_SIGHAND);
	CLONE_FLAGS((long)CLONE_FS | CLONE_NEWNS | SIGCHLD);
	CLONE_FLAGS((long)CLONE_FS | CLONE_NEWUSER | SIGCHLD);
	CLONE_FLAGS((long)CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWPID);
	CLONE_FLAGS((long)CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER);
	/* Nothing has been made. */
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
