/* Which si_code may a program claim, towards whom? */
#include "signals.h"

static siginfo_t info;

static void show_code(pid_t pid, int code)
{
	info.si_code = code;
	say("code %d: ", code);
	CALL(rt_sigqueueinfo, pid, SIGUSR1, &info);
}

static void show_codes(const char *who, pid_t pid)
{
	static const int codes[] = { 0, 1, SI_KERNEL, -1, -2, -5, -6, -7, -60, 0x7fffffff };

	say("%s\n", who);
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
		show_code(pid, codes[i]);
}

int main(void)
{
	static const int unknown[] = { -1, -7, -8, -44, -60, -61, 6, 7, 10, 11, SI_KERNEL, 0x81 };
	kernel_set usr1 = BIT(SIGUSR1);
	pid_t child;

	set_mask(usr1 | BIT(SIGSEGV));
	show_codes("to ourselves", getpid());
	set_action(SIGUSR1, SIG_IGN, 0);
	set_action(SIGUSR1, SIG_DFL, 0);
	child = spawn();
	if (!child) {
		for (;;)
			pause();
	}
	show_codes("to another", child);
	kill(child, SIGKILL);
	reap("child", child);
	show_codes("to nobody", child);

	/* All of it arrives, but the number. */
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGHUP;
	info.si_errno = 5;
	info.si_code = -44;
	info.si_pid = 123;
	info.si_uid = 456;
	info.si_value.sival_ptr = (void *)0x123456789abcdef0;
	CALL(rt_sigqueueinfo, getpid(), SIGUSR1, &info);
	memset(&info, '#', sizeof(info));
	CALL(rt_sigtimedwait, &usr1, &info, NULL, SIGSET_SIZE);
	say("signo %d errno %d code %d pid %d uid %d value %p\n", info.si_signo, info.si_errno,
	    info.si_code, info.si_pid, info.si_uid, info.si_value.sival_ptr);

	/* Of what the kernel does not know, the end must be zeros. */
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		memset(&info, 0, sizeof(info));
		((char *)&info)[127] = 1;
		info.si_code = unknown[i];
		say("code %d: ", unknown[i]);
		CALL(rt_sigqueueinfo, getpid(), SIGUSR1, &info);
		CALL(rt_sigqueueinfo, getpid(), SIGSEGV, &info);
	}
	set_action(SIGUSR1, SIG_IGN, 0);

	info.si_code = SI_QUEUE;
	CALL(rt_sigqueueinfo, getpid(), 0, &info);
	CALL(rt_sigqueueinfo, getpid(), 65, &info);
	CALL(rt_sigqueueinfo, getpid(), -1, &info);
	CALL(rt_sigqueueinfo, getpid(), SIGUSR1, NULL);
	CALL(rt_sigqueueinfo, -1, SIGUSR1, &info);
	CALL(rt_sigqueueinfo, 0, SIGUSR1, &info);
	CHECK(!(get_pending() & usr1));
	return report_status();
}
