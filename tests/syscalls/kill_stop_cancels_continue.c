/* Do a stop signal and SIGCONT take each other back while they are blocked? */
#include "signals.h"

static void show_pending(const char *when)
{
	kernel_set set = get_pending();

	say("%s:%s%s%s%s\n", when, set & BIT(SIGCONT) ? " SIGCONT" : "",
	    set & BIT(SIGTSTP) ? " SIGTSTP" : "", set & BIT(SIGTTIN) ? " SIGTTIN" : "",
	    set & BIT(SIGUSR1) ? " SIGUSR1" : "");
}

int main(void)
{
	pid_t self = getpid();

	set_mask(BIT(SIGCONT) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGUSR1));
	kill(self, SIGUSR1);
	kill(self, SIGTSTP);
	kill(self, SIGTTIN);
	show_pending("two stops");
	kill(self, SIGCONT);
	show_pending("then SIGCONT");
	kill(self, SIGTTIN);
	show_pending("then SIGTTIN");
	syscall(SYS_tkill, self, SIGCONT);
	show_pending("then SIGCONT to the thread");
	syscall(SYS_tkill, self, SIGTSTP);
	show_pending("then SIGTSTP to the thread");
	/* It is dropped when it is ignored, even while it is blocked. */
	set_action(SIGTSTP, SIG_IGN, 0);
	show_pending("SIGTSTP ignored");
	note_signal(SIGCONT, 0);
	kill(self, SIGCONT);
	kill(self, SIGCONT);
	set_mask(BIT(SIGUSR1));
	show_notes("SIGCONT handled");
	return report_status();
}
