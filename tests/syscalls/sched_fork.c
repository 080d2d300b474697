/* Which policy, priority, nice value and slice does a child begin with? */
#include "report.h"
#include "sched_attr.h"
#include <sys/resource.h>
#include <sys/wait.h>

#define RESET_ON_FORK 0x40000000

static void show_child(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct sched_param param;
		struct attr attr;

		CALL(sched_getscheduler, 0);
		CALL(sched_getparam, 0, &param);
		SHOW(param.sched_priority);
		CALL(getpriority, PRIO_PROCESS, 0);
		CALL(sched_getattr, 0, &attr, (long)SIZE_VER0, 0);
		SHOW(attr.runtime == 2000000);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork");
}

static void set(int policy, int priority, int nice)
{
	struct sched_param param = { priority };

	SHOW(policy);
	CALL(sched_setscheduler, 0, policy, &param);
	CALL(setpriority, PRIO_PROCESS, 0, nice);
	show_child();
}

/* The least nice of a group counts, and a change is everybody's. */
static void ask_about_the_group(void)
{
	int status;
	pid_t child;

	setpgid(0, 0);
	CALL(setpriority, PRIO_PROCESS, 0, 5);
	child = fork();
	if (child == 0) {
		CALL(setpriority, PRIO_PROCESS, 0, 2);
		CALL(getpriority, PRIO_PGRP, 0);
		CALL(getpriority, PRIO_PROCESS, getppid());
		CALL(setpriority, PRIO_PROCESS, 0, 9);
		CALL(getpriority, PRIO_PGRP, 0);
		CALL(setpriority, PRIO_PGRP, 0, 7);
		CALL(getpriority, PRIO_PROCESS, getppid());
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork");
	CALL(getpriority, PRIO_PROCESS, 0);
}

int main(void)
{
	struct attr attr = { .size = SIZE_VER0, .runtime = 2000000 };

	CALL(sched_setattr, 0, &attr, 0);
	set(SCHED_OTHER, 0, 0);
	set(SCHED_OTHER, 0, -3);
	set(SCHED_BATCH, 0, 8);
	set(SCHED_IDLE, 0, 8);
	set(SCHED_FIFO, 99, 8);
	set(SCHED_RR, 1, -8);

	/* Children that begin anew. */
	set(SCHED_OTHER | RESET_ON_FORK, 0, 0);
	set(SCHED_OTHER | RESET_ON_FORK, 0, -3);
	set(SCHED_BATCH | RESET_ON_FORK, 0, 8);
	set(SCHED_BATCH | RESET_ON_FORK, 0, -8);
	set(SCHED_IDLE | RESET_ON_FORK, 0, 8);
	set(SCHED_FIFO | RESET_ON_FORK, 99, 8);
	set(SCHED_RR | RESET_ON_FORK, 1, -8);
	set(SCHED_OTHER, 0, 0);

	ask_about_the_group();
	return report_status();
}
