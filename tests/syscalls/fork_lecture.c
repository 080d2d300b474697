/* The lecture's example, at a twentieth of its pace: does waitpid(2) wait, and for what status? */
#include "process.h"

int main(void)
{
	int status = 0;
	int64_t before = clock_now(CLOCK_MONOTONIC);
	pid_t child = fork();

	if (child == 0) {
		pause_ms(50);
		say("Nooooooooo!\n");
		exit(99);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 50000000);
	SHOW(WIFEXITED(status));
	SHOW(WEXITSTATUS(status));
	return report_status();
}
