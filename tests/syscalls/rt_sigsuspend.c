/* Which set is blocked during and after rt_sigsuspend(2), and in the handler? */
#include "signals.h"

static kernel_set mask_in_handler;

static void handler(int signal)
{
	(void)signal;
	mask_in_handler = get_mask();
}

int main(void)
{
	kernel_set none = 0, all = -1UL, usr2 = BIT(SIGUSR2);
	volatile int *step = share_pages(1);
	pid_t child;

	note_signal(SIGUSR1, 0);
	note_signal(SIGUSR2, 0);
	set_mask(BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGHUP));

	/* One that waits already is taken at once. */
	kill(getpid(), SIGUSR1);
	CALL(rt_sigsuspend, &none, SIGSET_SIZE);
	show_notes("it waited");
	CHECK(get_mask() == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGHUP)));

	/* Of two, the one that the set leaves blocked stays. */
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	CALL(rt_sigsuspend, &usr2, SIGSET_SIZE);
	show_notes("one of two");
	CHECK(get_pending() == BIT(SIGUSR2));
	CALL(rt_sigsuspend, &none, SIGSET_SIZE);
	show_notes("the other");

	/* Both at once: both handlers run before it returns. */
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	CALL(rt_sigsuspend, &none, SIGSET_SIZE);
	show_notes("both");

	/* In the handler: the set of the call, and its own signal. */
	set_action(SIGUSR1, handler, 0);
	kill(getpid(), SIGUSR1);
	CALL(rt_sigsuspend, &usr2, SIGSET_SIZE);
	CHECK(mask_in_handler == (BIT(SIGUSR1) | BIT(SIGUSR2)));
	CHECK(get_mask() == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGHUP)));

	/* It sleeps until a handler has run; SIGKILL is never blocked. */
	child = spawn();
	if (!child) {
		note_signal(SIGUSR1, SA_RESTART);
		set_action(SIGTERM, SIG_IGN, 0);
		*step = 1;
		CALL(rt_sigsuspend, &none, SIGSET_SIZE);
		show_notes("slept");
		CHECK(get_mask() == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGHUP)));
		*step = 2;
		CALL(rt_sigsuspend, &all, SIGSET_SIZE);
		_exit(1);
	}
	let_sleep(step, 1);
	kill(child, SIGTERM);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	pause_ms(5);
	CHECK(*step == 1);
	kill(child, SIGUSR1);
	let_sleep(step, 2);
	kill(child, SIGUSR1);
	kill(child, SIGHUP);
	pause_ms(5);
	CALL(wait4, child, NULL, WNOHANG, NULL);
	kill(child, SIGKILL);
	reap("child", child);

	CALL(rt_sigsuspend, &none, 4L);
	CALL(rt_sigsuspend, &none, 16L);
	CALL(rt_sigsuspend, NULL, SIGSET_SIZE);
	CHECK(get_mask() == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGHUP)));
	return report_status();
}
