/* Does a signal end a wait for a semaphore, SA_RESTART or not, stop or not? */
#include "signals.h"
#include <sys/sem.h>

static volatile int *step;

static void show_semop(const char *what, int set, int timed, int signal, int flags)
{
	pid_t child;

	say("%s, %s%s\n", what, signal_name(signal), flags & SA_RESTART ? " SA_RESTART" : "");
	*step = 0;
	child = spawn();
	if (!child) {
		struct sembuf down = { 0, -1, 0 };
		struct timespec timeout = { 30, 0 };

		note_signal(SIGUSR1, flags);
		set_action(SIGUSR2, SIG_IGN, 0);
		*step = 1;
		if (timed)
			CALL(semtimedop, set, &down, 1L, &timeout);
		else
			CALL(semop, set, &down, 1L);
		show_notes("after it");
		_exit(0);
	}
	let_sleep(step, 1);
	kill(child, signal);
	if (signal == SIGSTOP) {
		await(child, WSTOPPED);
		kill(child, SIGCONT);
	}
	if (signal == SIGUSR2) {
		struct sembuf up = { 0, 1, 0 };

		pause_ms(3);
		semop(set, &up, 1);
	}
	reap("child", child);
}

int main(void)
{
	int set = semget(IPC_PRIVATE, 1, 0600);

	step = share_pages(1);
	for (int timed = 0; timed < 2; timed++) {
		const char *what = timed ? "semtimedop" : "semop";

		show_semop(what, set, timed, SIGUSR1, 0);
		show_semop(what, set, timed, SIGUSR1, SA_RESTART);
		show_semop(what, set, timed, SIGUSR2, 0);
		show_semop(what, set, timed, SIGSTOP, 0);
	}
	semctl(set, 0, IPC_RMID);
	return report_status();
}
