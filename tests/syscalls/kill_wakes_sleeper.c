/* Does a signal end a child at once, in whatever call it sleeps? */
#include "process.h"

static volatile int *step;

static void show_end(const char *what, void (*sleep)(void))
{
	pid_t child;
	int64_t before;

	*step = 0;
	child = spawn();
	if (!child) {
		sleep();
		_exit(99);
	}
	wait_for(step, 1);
	pause_ms(5);
	before = clock_now(CLOCK_MONOTONIC);
	kill(child, SIGTERM);
	reap(what, child);
	CHECK(clock_now(CLOCK_MONOTONIC) - before < 5000000000);
}

static void sleeps(void)
{
	*step = 1;
	pause_ms(60000);
}

static void waits(void)
{
	pid_t child = spawn();

	if (!child) {
		pause_ms(60000);
		_exit(0);
	}
	step[1] = child;
	*step = 1;
	waitpid(child, NULL, 0);
}

static void spins(void)
{
	*step = 1;
	for (;;)
		;
}

static void yields(void)
{
	*step = 1;
	for (;;)
		sched_yield();
}

int main(void)
{
	step = share_pages(1);
	prctl(PR_SET_CHILD_SUBREAPER, 1L);
	show_end("nanosleep", sleeps);
	show_end("wait4", waits);
	show_end("nothing", spins);
	show_end("sched_yield", yields);
	/* The child of the one that waited has come to us. */
	CALL(wait4, -1, NULL, WNOHANG, NULL);
	kill(step[1], SIGKILL);
	reap("orphan", step[1]);
	return report_status();
}
