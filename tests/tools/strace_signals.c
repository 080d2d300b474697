/*
 * What tests/tools/test_strace_fork.py traces: calls that signals interrupt, and
 * the ways in which a process ends.  Each child sits in a call when its parent
 * sends the signal: a pause before it is enough, and if once it is not, the
 * test looks again.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
};

static int ends[2];

static void nothing(int signal)
{
}

static void pause_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* SIGCHLD is let in here only: it would come before or behind the end of waitpid. */
static void reap(pid_t child)
{
	sigset_t set;

	waitpid(child, NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static pid_t read_in_a_child(int flags)
{
	struct sigaction action = { .sa_handler = nothing, .sa_flags = flags };
	char byte;
	pid_t child = fork();

	if (!child) {
		sigaction(SIGUSR1, &action, NULL);
		read(ends[0], &byte, 1);
		_exit(flags != 0);
	}
	pause_ms(20);
	return child;
}

static int end(void *unused)
{
	pause_ms(20);
	syscall(SYS_exit, 4);
	return 0;
}

static int take_over(void *unused)
{
	pause_ms(20);
	execl("/proc/self/exe", "again", "again", NULL);
	return 1;
}

int main(int argc, char **argv)
{
	static char stack[8192] __attribute__((aligned(16)));
	struct sigaction ended = { .sa_handler = nothing, .sa_flags = SA_NOCLDSTOP };
	sigset_t set;
	pid_t child;

	if (argc > 1)
		return 5;
	sigaction(SIGCHLD, &ended, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pipe(ends);

	/* P1: a sleep that goes on behind a stop. */
	child = fork();
	if (!child) {
		pause_ms(300);
		_exit(0);
	}
	pause_ms(20);
	kill(child, SIGSTOP);
	waitpid(child, NULL, WUNTRACED);
	kill(child, SIGCONT);
	reap(child);

	/* P2: a call that is made again. */
	child = read_in_a_child(SA_RESTART);
	kill(child, SIGUSR1);
	pause_ms(20);
	write(ends[1], "x", 1);
	reap(child);

	/* P3: a call that fails. */
	child = read_in_a_child(0);
	kill(child, SIGUSR1);
	reap(child);

	/* P4, P5: two that never return. */
	child = read_in_a_child(0);
	kill(child, SIGTERM);
	reap(child);
	child = read_in_a_child(0);
	kill(child, SIGKILL);
	reap(child);

	/* P6: an end outside a call. */
	child = fork();
	if (!child)
		*(volatile int *)8 = 1;
	reap(child);

	/* P7: a parent that waits for its child to begin something else. */
	child = vfork();
	if (!child) {
		execve("/none", NULL, NULL);
		_exit(3);
	}
	reap(child);

	/* P8: a process whose first thread ends first, and the thread. */
	child = fork();
	if (!child) {
		clone(end, stack + sizeof(stack), THREAD, NULL);
		syscall(SYS_exit, 2);
	}
	reap(child);

	/* P9: one that nobody follows. */
	child = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!child)
		_exit(0);
	reap(child);

	/* P10: a thread that takes its process over. */
	child = fork();
	if (!child) {
		clone(take_over, stack + sizeof(stack), THREAD, NULL);
		pause_ms(10000);
	}
	reap(child);
	return 0;
}
