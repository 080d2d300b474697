/* Which part of its argument does exit(2) keep?  The status is 42. */
#include "report.h"

int main(void)
{
	say("exit(0x1232a)\n");
	syscall(SYS_exit, 0x1232a);
	say("still there\n");
	return 1;
}
