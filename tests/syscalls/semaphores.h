/*
 * What the programs about System V semaphores share.  The host's sets are seen
 * by all its processes: each program removes what it has made, and prints
 * nothing that depends on the number of a set.
 */
#ifndef SEMAPHORES_H
#define SEMAPHORES_H

#include "report.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>

/* A set that no key finds, of semaphores that are 0. */
static inline int make_set(long nsems)
{
	int id = semget(IPC_PRIVATE, nsems, IPC_CREAT | 0600);

	if (id < 0)
		die("make a set of semaphores");
	return id;
}

static inline void remove_set(int id)
{
	if (semctl(id, 0, IPC_RMID))
		die("remove a set of semaphores");
}

/* A set of semaphores as semctl(IPC_STAT) has it. */
static inline struct semid_ds set_status(int id)
{
	struct semid_ds status;

	if (semctl(id, 0, IPC_STAT, &status))
		die("ask about a set of semaphores");
	return status;
}

/* As the kernel stamps a set; the library would not ask it. */
static inline time_t seconds_now(void)
{
	return syscall(SYS_time, NULL);
}

static inline int value_of(int id, int num)
{
	return semctl(id, num, GETVAL);
}

static inline void set_value(int id, int num, int value)
{
	if (semctl(id, num, SETVAL, value))
		die("set a semaphore");
}

/* One operation. */
static inline int operate(int id, int num, int op, int flags)
{
	struct sembuf buf = {num, op, flags};

	return semop(id, &buf, 1);
}

/* The values of a set, in one line. */
static inline void show_values(const char *what, int id)
{
	unsigned short values[8];
	int nsems = set_status(id).sem_nsems;
	char line[128] = "";
	int length = 0;

	if (semctl(id, 0, GETALL, values))
		die("get all semaphores");
	for (int i = 0; i < nsems; i++)
		length += snprintf(line + length, sizeof(line) - length,
				   " %d", values[i]);
	say("%s:%s\n", what, line);
}

static inline void pause_briefly(void)
{
	struct timespec time = {0, 1000000};

	nanosleep(&time, NULL);
}

/* Return when so many tasks sleep until a semaphore is greater. */
static inline void await_ncnt(int id, int num, int count)
{
	while (semctl(id, num, GETNCNT) != count)
		pause_briefly();
}

/* Return when so many tasks sleep until it is zero. */
static inline void await_zcnt(int id, int num, int count)
{
	while (semctl(id, num, GETZCNT) != count)
		pause_briefly();
}

/* Return when a word in shared memory has a value. */
static inline void await_word(volatile int *word, int value)
{
	while (*word != value)
		pause_briefly();
}

/* Memory that children share. */
static inline volatile int *shared_words(void)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("map memory");
	return memory;
}

/* fork(2); in the child, 0. */
static inline pid_t spawn(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	return child;
}

/* The wait status of a child that is to end. */
static inline int reap(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		die("wait for a child");
	return status;
}

/*
 * A child that makes one call of semtimedop and exits with 0 or the number of
 * the error.  The caller waits for it by await_ncnt() or await_zcnt().
 */
static inline pid_t spawn_operations(int id, struct sembuf *ops, int nsops,
				     struct timespec *timeout)
{
	pid_t child = spawn();

	if (!child)
		_exit(semtimedop(id, ops, nsops, timeout) ? errno : 0);
	return child;
}

static inline pid_t spawn_operation(int id, int num, int op, int flags)
{
	struct sembuf buf = {num, op, flags};

	return spawn_operations(id, &buf, 1, NULL);
}

/* How the call of such a child has ended. */
static inline void show_end(const char *what, pid_t child)
{
	int status = reap(child);

	if (WIFSIGNALED(status))
		say("%s: killed by %d\n", what, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say("%s: %s\n", what, strerrorname_np(WEXITSTATUS(status)));
	else
		say("%s: 0\n", what);
}

#endif
