/* Which numbers of signals and processes does kill(2) refuse? */
#include "process.h"

int main(void)
{
	CALL(kill, getpid(), 0);
	CALL(kill, getppid(), 0);
	CALL(kill, 1, 0);
	CALL(kill, getpid(), 65);
	CALL(kill, getpid(), -1);
	CALL(kill, getpid(), 0x100);
	CALL(kill, 0x7fffffff, 0);
	CALL(kill, 0x7fffffff, SIGTERM);
	CALL(kill, 0x7fffffff, 65);
	CALL(kill, (int)0x80000000, 0);
	CALL(kill, (int)0x80000000, 65);
	CALL(tkill, getpid(), 0);
	CALL(tkill, 0, 0);
	CALL(tkill, -1, 0);
	CALL(tkill, 0x7fffffff, 0);
	CALL(tkill, getpid(), 65);
	CALL(tgkill, getpid(), getpid(), 0);
	CALL(tgkill, 0, getpid(), 0);
	CALL(tgkill, -1, getpid(), 0);
	CALL(tgkill, getpid(), 0, 0);
	CALL(tgkill, getpid(), -1, 0);
	CALL(tgkill, getpid(), 0x7fffffff, 0);
	CALL(tgkill, getppid(), getpid(), 0);
	CALL(tgkill, getpid(), getpid(), 65);
	return report_status();
}
