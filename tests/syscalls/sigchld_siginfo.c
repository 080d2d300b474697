/* What does SIGCHLD say of a child that ends, is killed, stops or goes on? */
#include "signals.h"

static siginfo_t info;
static kernel_set chld = BIT(SIGCHLD);

static void show_next(const char *what, pid_t child)
{
	static const char *const codes[] = { "", "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED",
					     "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED" };
	struct timespec most = { 5, 0 };

	memset(&info, 0, sizeof(info));
	if (syscall(SYS_rt_sigtimedwait, &chld, &info, &most, SIGSET_SIZE) != SIGCHLD)
		die("wait for SIGCHLD");
	say("%s: %s status %d uid %d errno %d, %s\n", what, codes[info.si_code], info.si_status,
	    info.si_uid, info.si_errno, info.si_pid == child ? "the child's" : "another's");
}

static pid_t sleeper(void)
{
	pid_t child = spawn();

	if (!child)
		for (;;)
			pause();
	return child;
}

int main(void)
{
	struct timespec now = { 0, 3000000 };
	pid_t child, other;

	set_action(SIGCHLD, SIG_DFL, 0);
	set_mask(chld);
	child = spawn();
	if (!child)
		_exit(37);
	show_next("exit", child);
	reap("child", child);
	/* Waiting for it takes nothing back. */
	child = spawn();
	if (!child)
		_exit(0x123);
	await(child, WEXITED);
	reap("child", child);
	show_next("waited for already", child);

	child = sleeper();
	kill(child, SIGSTOP);
	show_next("stop", child);
	kill(child, SIGCONT);
	show_next("continue", child);
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGTERM);
	kill(child, SIGCONT);
	await(child, WEXITED);
	show_next("stopped, killed and continued: the first of them", child);
	reap("child", child);

	/* Two at once merge. */
	while (syscall(SYS_rt_sigtimedwait, &chld, NULL, &now, SIGSET_SIZE) == SIGCHLD)
		;
	child = sleeper();
	other = sleeper();
	kill(child, SIGKILL);
	await(child, WEXITED);
	kill(other, SIGKILL);
	await(other, WEXITED);
	show_next("two", child);
	CALL(rt_sigtimedwait, &chld, NULL, &now, SIGSET_SIZE);
	reap("child", child);
	reap("other", other);

	/* Nothing of stops with SA_NOCLDSTOP. */
	note_signal(SIGCHLD, SA_NOCLDSTOP);
	child = sleeper();
	kill(child, SIGSTOP);
	await(child, WSTOPPED);
	kill(child, SIGCONT);
	pause_ms(3);
	CALL(rt_sigtimedwait, &chld, NULL, &now, SIGSET_SIZE);
	kill(child, SIGKILL);
	show_next("killed", child);
	reap("child", child);
	return report_status();
}
