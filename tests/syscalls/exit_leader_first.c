/* When is a process a zombie whose first thread ends before the others, and with which status? */
#include "process.h"

static siginfo_t seen;
static volatile int tid;
static volatile int *step;

static int thread_main(void *how)
{
	wait_for(step, 1);
	if (*(char *)how == 'g')
		syscall(SYS_exit_group, 8);
	syscall(SYS_exit, 9);
	return 0;
}

static void see(int signal, siginfo_t *info, void *context)
{
	seen = *info;
}

static void show_end(const char *how)
{
	siginfo_t info = {};
	pid_t child;

	*step = 0;
	child = spawn();
	if (!child) {
		start_thread(thread_main, (void *)how, &tid);
		syscall(SYS_exit, 7);
	}
	pause_ms(20);
	/* Its leader is dead, but the process lives. */
	CALL(kill, child, 0);
	CALL(wait4, child, NULL, WNOHANG, NULL);
	CALL(waitid, P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT, NULL);
	SHOW(info.si_pid);
	*step = 1;
	reap(how, child);
	SHOW(seen.si_pid == child);
	SHOW(seen.si_code);
	SHOW(seen.si_status);
	CALL(kill, child, 0);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = see, .sa_flags = SA_SIGINFO | SA_RESTART };

	step = share_pages(1);
	sigaction(SIGCHLD, &action, NULL);
	show_end("group");
	show_end("thread");
	return report_status();
}
