/* Who inherits the blocked set: a child, a thread, a program that is executed? */
#include "signals.h"

static volatile int tid, step;
static volatile kernel_set of_thread;

static int thread_main(void *unused)
{
	(void)unused;
	of_thread = get_mask();
	set_mask(BIT(SIGHUP)); /* its own from now on */
	step = 1;
	wait_for(&step, 2);
	return 0;
}

int main(int argc, char **argv)
{
	kernel_set set = BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(63), how = BIT(SIGTERM);
	char *again[] = { "again", "mask", NULL }, *none[] = { NULL };
	kernel_set old;
	pid_t child;

	(void)argv;
	if (argc > 1) {
		say("executed: %#lx pending %#lx\n", get_mask(), get_pending());
		return 0;
	}
	/* What it leaves out, and what it answers. */
	set_mask(-1UL);
	say("all: %#lx\n", get_mask());
	set_mask(set);
	CALL(rt_sigprocmask, SIG_BLOCK, &how, &old, SIGSET_SIZE);
	say("old %#lx, now %#lx\n", old, get_mask());
	CALL(rt_sigprocmask, SIG_UNBLOCK, &how, &old, SIGSET_SIZE);
	say("old %#lx, now %#lx\n", old, get_mask());

	start_thread(thread_main, NULL, &tid);
	wait_for(&step, 1);
	CHECK(of_thread == set);
	CHECK(get_mask() == set);
	step = 2;
	wait_for(&tid, 0);

	kill(getpid(), SIGUSR1);
	child = spawn();
	if (!child) {
		say("child: %#lx pending %#lx\n", get_mask(), get_pending());
		set_mask(0);
		_exit(0);
	}
	reap("child", child);
	child = vfork();
	if (!child) {
		set_mask(BIT(SIGINT) | BIT(SIGUSR1));
		kill(getpid(), SIGUSR1);
		execve(own_path(), again, none);
		_exit(127);
	}
	reap("executed", child);
	say("parent: %#lx pending %#lx\n", get_mask(), get_pending());
	execve(own_path(), again, none);
	return 127;
}
