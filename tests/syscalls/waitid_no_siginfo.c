/* What does waitid(2) store where, and does it wait without a place for it? */
#include "process.h"

int main(void)
{
	struct rusage usage;
	pid_t child = spawn();
	int *words = (int *)map_pages(1), kept = 0;

	if (!child)
		_exit(3);
	CALL(waitid, P_ALL, 0, NULL, WEXITED, NULL);
	CALL(waitid, P_ALL, 0, NULL, WEXITED, NULL);
	child = spawn();
	if (!child)
		_exit(3);
	memset(&usage, -1, sizeof(usage));
	CALL(waitid, P_PID, child, NULL, WEXITED, &usage);
	CHECK(usage.ru_minflt > 0);

	child = spawn();
	if (!child)
		for (;;)
			pause_ms(10000);
	/* Nothing to tell: the number and the signal are zero. */
	memset(words, 0x55, PAGE);
	CALL(waitid, P_PID, child, words, WEXITED | WNOHANG, NULL);
	say("signo %d errno %d code %d pid %d uid %d status %d\n", words[0], words[1], words[2],
	    words[4], words[5], words[6]);
	kill(child, SIGKILL);
	memset(words, 0x55, PAGE);
	CALL(waitid, P_PID, child, words, WEXITED, NULL);
	say("signo %d errno %d code %d status %d\n", words[0], words[1], words[2], words[6]);
	/* What lies behind is left alone. */
	for (int i = 8; i < 32; i++)
		kept += words[i] == 0x55555555;
	SHOW(kept);
	return report_status();
}
