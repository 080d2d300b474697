/* What does rt_sigtimedwait(2) take, in which order, and when does it give up? */
#include "signals.h"

static siginfo_t info;
static struct timespec now = { 0, 0 }, soon = { 0, 3000000 };

static void show_taken(int signal)
{
	if (signal > 0)
		say("  %s %s %d\n", signal_name(info.si_signo), code_name(info.si_code),
		    info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
}

int main(void)
{
	kernel_set set = BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(40) | BIT(41), one = BIT(SIGUSR1),
		   all = -1UL;
	struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 };
	volatile int *step = share_pages(1);
	int64_t before;
	pid_t child;

	set_mask(set | BIT(SIGHUP));
	CALL(rt_sigtimedwait, &set, &info, &now, SIGSET_SIZE);
	before = clock_now(CLOCK_MONOTONIC);
	CALL(rt_sigtimedwait, &set, &info, &soon, SIGSET_SIZE);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 3000000);

	/* The lowest first, queued ones in order; the thread's before the process's. */
	queue_value(getpid(), 41, 1);
	queue_value(getpid(), 40, 2);
	queue_value(getpid(), 40, 3);
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	syscall(SYS_tkill, getpid(), SIGUSR2);
	syscall(SYS_tkill, getpid(), 41);
	kill(getpid(), SIGHUP);
	for (int i = 0; i < 9; i++)
		show_taken(CALL(rt_sigtimedwait, &set, &info, &now, SIGSET_SIZE));
	CHECK(get_pending() == BIT(SIGHUP));
	CALL(rt_sigtimedwait, &all, NULL, NULL, SIGSET_SIZE);
	CHECK(get_pending() == 0);

	/* It sleeps, and what it waits for wakes it even if it would be ignored. */
	child = spawn();
	if (!child) {
		*step = 1;
		show_taken(CALL(rt_sigtimedwait, &set, &info, NULL, SIGSET_SIZE));
		CHECK(info.si_pid == getppid());
		set_action(SIGUSR2, SIG_IGN, 0);
		*step = 2;
		show_taken(CALL(rt_sigtimedwait, &set, &info, NULL, SIGSET_SIZE));
		/* Not blocked, with a handler: taken here all the same. */
		note_signal(SIGUSR1, 0);
		set_mask(0);
		*step = 3;
		show_taken(CALL(rt_sigtimedwait, &one, &info, NULL, SIGSET_SIZE));
		show_notes("handler");
		/* Another signal ends the sleep, SA_RESTART or not. */
		note_signal(SIGUSR2, SA_RESTART);
		*step = 4;
		show_taken(CALL(rt_sigtimedwait, &one, &info, NULL, SIGSET_SIZE));
		show_notes("handler");
		/* So does being stopped. */
		*step = 5;
		show_taken(CALL(rt_sigtimedwait, &one, &info, NULL, SIGSET_SIZE));
		CHECK(get_mask() == 0);
		_exit(0);
	}
	let_sleep(step, 1);
	queue_value(child, 40, 7);
	let_sleep(step, 2);
	kill(child, SIGUSR2);
	let_sleep(step, 3);
	kill(child, SIGUSR1);
	let_sleep(step, 4);
	kill(child, SIGUSR2);
	let_sleep(step, 5);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	reap("child", child);

	/* SIGKILL and SIGSTOP are not waited for. */
	set = BIT(SIGKILL) | BIT(SIGSTOP);
	CALL(rt_sigtimedwait, &set, &info, &soon, SIGSET_SIZE);
	CALL(rt_sigtimedwait, &set, &info, &bad, SIGSET_SIZE);
	CALL(rt_sigtimedwait, &set, &info, &negative, SIGSET_SIZE);
	CALL(rt_sigtimedwait, &set, &info, &now, 4L);
	CALL(rt_sigtimedwait, NULL, &info, &now, SIGSET_SIZE);
	CALL(rt_sigtimedwait, &set, &info, (void *)8, SIGSET_SIZE);
	/* A signal whose siginfo cannot be stored is lost. */
	kill(getpid(), SIGUSR1);
	CALL(rt_sigtimedwait, &one, (void *)8, &now, SIGSET_SIZE);
	CHECK(get_pending() == 0);
	return report_status();
}
