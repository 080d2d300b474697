/* In which order are pending signals taken, and which of them merge? */
#include "signals.h"

int main(void)
{
	pid_t self = getpid();
	pid_t child;

	for (int signal = 34; signal <= 40; signal++)
		note_signal(signal, 0);
	note_signal(SIGUSR1, 0);
	note_signal(SIGUSR2, 0);
	note_signal(SIGSEGV, 0);
	note_signal(64, 0);
	set_mask(-1UL);
	queue_value(self, 36, 1);
	queue_value(self, 34, 2);
	queue_value(self, 36, 3);
	queue_value(self, 64, 4);
	queue_value(self, 34, 5);
	queue_value(self, SIGUSR2, 6);
	queue_value(self, SIGUSR2, 7); /* merges, and the first value stays */
	kill(self, SIGUSR1);
	queue_value(self, SIGUSR1, 8);
	kill(self, 34);
	kill(self, 34);
	kill(self, SIGSEGV);
	syscall(SYS_tkill, self, 36);
	SHOW(get_pending());
	/* Each handler blocks the rest, or the frames would nest in turn. */
	for (int signal = 1; signal <= 64; signal++) {
		if (!(get_pending() & BIT(signal)))
			continue;
		set_mask(~BIT(signal));
		set_mask(-1UL);
		show_notes(signal_name(signal));
	}
	SHOW(get_pending());

	/* All at once: each handler is interrupted by the next before it begins. */
	queue_value(self, 35, 1);
	queue_value(self, 34, 2);
	queue_value(self, 35, 3);
	kill(self, SIGUSR2);
	kill(self, SIGUSR1);
	kill(self, SIGSEGV);
	set_mask(0);
	show_notes("all at once");

	/* From another process they come in the order of their sending. */
	set_mask(-1UL);
	child = spawn();
	if (!child) {
		for (int i = 0; i < 5; i++)
			queue_value(self, 40, i);
		_exit(0);
	}
	reap("child", child);
	set_mask(~BIT(40));
	show_notes("from a child");
	return report_status();
}
