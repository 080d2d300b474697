/* Whom does tkill(2) and tgkill(2) reach, and what does the receiver learn? */
#include "signals.h"

int main(void)
{
	pid_t self = getpid(), child;

	note_signal(SIGUSR1, 0);
	note_signal(40, 0);
	CALL(tkill, self, SIGUSR1);
	CALL(tgkill, self, self, SIGUSR1);
	CALL(tkill, self, 40);
	for (int i = 0; i < nr_notes; i++)
		CHECK(notes[i].sender == self);
	show_notes("to ourselves");
	/* It is delivered before the call returns, if it is not blocked. */
	for (int i = 0; i < 3; i++) {
		syscall(SYS_tkill, self, SIGUSR1);
		SHOW(nr_notes);
	}
	CALL(tkill, self, 0);
	CALL(tkill, self, 65);
	CALL(tkill, self, -1);
	CALL(tkill, 0, SIGUSR1);
	CALL(tkill, -1, SIGUSR1);
	CALL(tgkill, self, -1, SIGUSR1);
	CALL(tgkill, 0, self, SIGUSR1);
	CALL(tgkill, -1, self, SIGUSR1);
	CALL(tgkill, getppid(), self, SIGUSR1);
	child = spawn();
	if (!child)
		_exit(3);
	await(child, WEXITED);
	CALL(tkill, child, SIGUSR1); /* a zombie is still there */
	CALL(tgkill, child, child, SIGKILL);
	reap("child", child);
	CALL(tkill, child, SIGUSR1);
	CALL(tgkill, child, child, SIGUSR1);
	return report_status();
}
