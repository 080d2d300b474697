/*
 * What the programs about processes share: children and how they ended, memory
 * to meet in, and tasks made by clone(2).
 *
 * Who runs first is never asked: a program orders its processes by waiting for
 * them, or by words in shared memory.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "report.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BIT(signal) (1UL << ((signal) - 1))

#define STACK_SIZE (16 * PAGE)

/* Sleep for some milliseconds. */
static inline void pause_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* Pages that children see as we do, and we as they. */
static inline void *share_pages(long nr_pages)
{
	void *address = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		die("share memory");
	return address;
}

/*
 * Sleep until another process or thread has set a word of shared memory: in
 * short steps, and for ten seconds at most.
 */
static inline void wait_for(volatile int *word, int value)
{
	for (int i = 0; *word != value; i++) {
		struct timespec step = { 0, i < 50 ? 100000 : 2000000 };

		if (i == 5000) {
			errno = ETIMEDOUT;
			die("wait for another process");
		}
		nanosleep(&step, NULL);
	}
}

/* Make a child that runs what follows, as fork(2). */
static inline pid_t spawn(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	return child;
}

static inline const char *signal_name(int signal)
{
	static char name[24];
	const char *abbreviation = sigabbrev_np(signal);

	if (abbreviation)
		snprintf(name, sizeof(name), "SIG%s", abbreviation);
	else
		snprintf(name, sizeof(name), "signal %d", signal);
	return name;
}

/* Print what a wait status says. */
static inline void show_wait_status(const char *who, int status)
{
	if (WIFEXITED(status))
		say("%s: exited %d\n", who, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		say("%s: killed by %s%s\n", who, signal_name(WTERMSIG(status)),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else if (WIFSTOPPED(status))
		say("%s: stopped by %s\n", who, signal_name(WSTOPSIG(status)));
	else if (WIFCONTINUED(status))
		say("%s: continued\n", who);
	else
		say("%s: status %#x\n", who, status);
}

/* Wait for a child to end, of whatever kind it is, and print how it did. */
static inline int reap(const char *who, pid_t child)
{
	int status;

	if (waitpid(child, &status, __WALL) != child)
		die("wait for a child");
	show_wait_status(who, status);
	return status;
}

/* Sleep until a child is a zombie or stopped, and leave it so. */
static inline void await(pid_t child, int options)
{
	siginfo_t info;

	if (waitid(P_PID, child, &info, options | WNOWAIT | __WALL))
		die("wait for a child's change");
}

/* The end of a fresh stack, for clone(2). */
static inline char *new_stack(void)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED)
		die("map a stack");
	return stack + STACK_SIZE;
}

/* Start a function in a task that shares what the flags say. */
static inline pid_t start(int (*function)(void *), int flags, void *argument)
{
	pid_t child = clone(function, new_stack(), flags, argument);

	if (child < 0)
		die("clone");
	return child;
}

/* What a thread shares with its process; it uses the same errno, too. */
#define THREAD                                                                 \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |    \
	 CLONE_SYSVSEM)

/* Start a thread; *tid is its number, and 0 when it has left our memory. */
static inline pid_t start_thread(int (*function)(void *), void *argument,
				 volatile int *tid)
{
	int flags = THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	pid_t child = clone(function, new_stack(), flags, argument, tid, NULL, tid);

	if (child < 0)
		die("start a thread");
	return child;
}

/* Die of what follows without an attempt at a core file. */
static inline void without_core(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}

/* The path of the program itself, to be executed again. */
static inline const char *own_path(void)
{
	static char path[4096];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (size < 0)
		die("read the program's own path");
	path[size] = 0;
	return path;
}

/* Make a file that may be executed. */
static inline void make_executable(const char *name, const char *content)
{
	size_t size = strlen(content);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, content, size) != (ssize_t)size)
		die("make an executable file");
	close(fd);
}

/* Set what a process does about a signal, without the library's structure. */
static inline void set_action(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	if (sigaction(signal, &action, NULL))
		die("set an action");
}

static inline void block(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static inline void unblock(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static inline int is_pending(int signal)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signal);
}

static inline int is_blocked(int signal)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, signal);
}

#endif
