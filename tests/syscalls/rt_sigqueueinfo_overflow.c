/* What happens to signals beyond RLIMIT_SIGPENDING? */
#include "signals.h"

int main(void)
{
	struct rlimit limit = { 4, 4 };
	pid_t self = getpid();

	/* The limit counts all of a user's: be one that nobody else is. */
	if (setuid(1000000 + self))
		die("become another user");
	note_signal(40, 0);
	note_signal(41, 0);
	note_signal(SIGUSR1, 0);
	note_signal(SIGUSR2, 0);
	set_mask(BIT(40) | BIT(41) | BIT(SIGUSR1) | BIT(SIGUSR2));
	CALL(setrlimit, RLIMIT_SIGPENDING, &limit);
	for (int i = 0; i < 6; i++)
		SHOW(queue_value(self, 40, i));
	/* kill(2) does not fail: what cannot be queued is pending, and says nothing. */
	SHOW(kill(self, 41));
	SHOW(kill(self, 41));
	SHOW(kill(self, 40));
	SHOW(syscall(SYS_tkill, self, 40));
	/* A standard signal is queued beyond the limit, with a value it is not. */
	SHOW(kill(self, SIGUSR1));
	SHOW(queue_value(self, SIGUSR2, 9));
	CHECK(get_pending() == (BIT(40) | BIT(41) | BIT(SIGUSR1) | BIT(SIGUSR2)));
	set_mask(BIT(SIGUSR2) | BIT(SIGUSR1));
	show_notes("real-time");
	set_mask(BIT(SIGUSR2));
	show_notes("SIGUSR1");
	set_mask(0);
	show_notes("SIGUSR2");
	/* There is room again. */
	set_mask(BIT(40));
	for (int i = 0; i < 5; i++)
		SHOW(queue_value(self, 40, i));
	set_action(40, SIG_IGN, 0);
	set_action(40, SIG_DFL, 0);
	SHOW(get_pending());
	for (int i = 0; i < 5; i++)
		SHOW(queue_value(self, 40, i));
	return report_status();
}
