/* Which thread takes a signal to the process, and what if it blocks it before it does? */
#include "signals.h"

static volatile int tid[2], step, ready;
static volatile pid_t taker;
static volatile int runs;

static void handler(int signal)
{
	(void)signal;
	taker = syscall(SYS_gettid);
	runs++;
}

static int open_thread(void *unused)
{
	(void)unused;
	set_mask(0);
	ready = 1;
	wait_for(&step, 1);
	return 0;
}

static int late_thread(void *unused)
{
	(void)unused;
	set_mask(BIT(SIGUSR1));
	ready = 1;
	wait_for(&step, 2);
	set_mask(0); /* here it takes what has waited for all */
	step = 3;
	return 0;
}

int main(void)
{
	pid_t first, second;

	set_action(SIGUSR1, handler, SA_RESTART);
	set_mask(BIT(SIGUSR1));
	first = start_thread(open_thread, NULL, &tid[0]);
	wait_for(&ready, 1);
	kill(getpid(), SIGUSR1);
	wait_for(&runs, 1);
	CHECK(taker == first);
	step = 1;
	wait_for(&tid[0], 0);

	ready = 0;
	second = start_thread(late_thread, NULL, &tid[1]);
	wait_for(&ready, 1);
	kill(getpid(), SIGUSR1);
	CHECK(get_pending() == BIT(SIGUSR1));
	SHOW(runs);
	step = 2;
	wait_for(&step, 3);
	SHOW(runs);
	CHECK(taker == second);
	CHECK(get_pending() == 0);
	wait_for(&tid[1], 0);
	/* Nobody else is left: it waits for us. */
	kill(getpid(), SIGUSR1);
	SHOW(runs);
	set_mask(0);
	SHOW(runs);
	CHECK(taker == getpid());
	return report_status();
}
