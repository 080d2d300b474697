/* What has a child that a thread has forked? */
#include "process.h"

static volatile int tid[2], word, step;
static int *told;

static int counts(void *unused)
{
	(void)unused;
	while (step != 9) {
		word++;
		sched_yield();
	}
	return 0;
}

static int forks(void *unused)
{
	pid_t thread = syscall(SYS_gettid), child;

	(void)unused;
	block(SIGUSR2);
	child = syscall(SYS_fork);
	if (!child) {
		int before = word;

		/* It is alone, a process of its own. */
		CHECK(getpid() == syscall(SYS_gettid));
		CHECK(getpid() != thread);
		CHECK(getppid() == told[0]);
		SHOW(is_blocked(SIGUSR2));
		pause_ms(2);
		CHECK(word == before);
		syscall(SYS_exit_group, report_status());
	}
	told[1] = child;
	return 0;
}

int main(void)
{
	told = share_pages(1);
	told[0] = getpid();
	start_thread(counts, NULL, &tid[0]);
	start_thread(forks, NULL, &tid[1]);
	wait_for(&tid[1], 0);
	reap("child", told[1]);
	SHOW(is_blocked(SIGUSR2));
	step = 9;
	wait_for(&tid[0], 0);
	return report_status();
}
