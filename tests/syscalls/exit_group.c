/* Which part of its argument does exit_group(2) keep?  The status is 255. */
#include "report.h"

int main(void)
{
	say("exit_group(-1)\n");
	syscall(SYS_exit_group, -1);
	say("still there\n");
	return 1;
}
