/*
 * Processes that share everything that can be shared, and print the same whoever
 * runs when: fork, threads, waiting, pipes, signals and semaphores.  See
 * test_preemption.py.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHILDREN = 4,
	ROUNDS = 5,
	MUTEX = 0, /* semaphores */
	READY = 1,
	THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
};

struct record {
	int child, round;
};

static struct shared {
	volatile long counter, thread_done;
} *shared;

static int semaphores, records[2], answers[2], gate[2];
static volatile sig_atomic_t caught;
static char stack[16384] __attribute__((aligned(16)));

static void die(const char *what)
{
	perror(what);
	kill(0, SIGKILL);
}

static void add(int number, int value, int flags)
{
	struct sembuf operation = { number, value, flags };

	if (semop(semaphores, &operation, 1))
		die("semop");
}

/* Not atomic, and long enough to be interrupted. */
static void count_up(void)
{
	long value;

	add(MUTEX, -1, SEM_UNDO);
	value = shared->counter;
	for (volatile int i = 0; i < 20; i++)
		;
	shared->counter = value + 1;
	add(MUTEX, 1, SEM_UNDO);
}

static void handler(int signal)
{
	caught++;
}

static int thread(void *unused)
{
	count_up();
	shared->thread_done = 1;
	return 0;
}

/* Each child: signals, counting, records, and an answer from its own child. */
static void child(int number)
{
	pid_t grandchild;
	int status;
	char byte;

	close(records[0]);
	add(READY, 1, 0);
	/* The signal is sent before the byte, and interrupts the read or comes before it. */
	if (read(gate[0], &byte, 1) != 1 || caught != 1)
		die("signal");
	for (int round = 0; round < ROUNDS; round++) {
		struct record record = { number, round };

		count_up();
		if (write(records[1], &record, sizeof(record)) != sizeof(record))
			die("write");
		if (read(answers[0], &byte, 1) != 1)
			die("read");
	}
	grandchild = number % 2 ? fork() : vfork();
	if (!grandchild)
		_exit(10 * number);
	if (waitpid(grandchild, &status, 0) != grandchild)
		die("waitpid");
	if (number == CHILDREN - 1) {
		add(MUTEX, -1, SEM_UNDO); /* what its death undoes */
		kill(getpid(), SIGKILL);
	}
	_exit(WEXITSTATUS(status) + number);
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	pid_t children[CHILDREN];
	struct record record;
	long sums[CHILDREN] = { 0 }, n = 0;
	int status;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	semaphores = semget(IPC_PRIVATE, 2, 0600);
	if (semaphores < 0 || pipe(records) || pipe(answers) || pipe(gate))
		die("prepare");
	setpgid(0, 0); /* for die() */
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (!children[i])
			child(i);
		if (children[i] < 0)
			die("fork");
	}
	close(records[1]);
	clone(thread, stack + sizeof(stack), THREAD, NULL);
	add(READY, -CHILDREN, 0);
	for (int i = 0; i < CHILDREN; i++)
		kill(children[i], SIGUSR1);
	if (write(gate[1], "gate", CHILDREN) != CHILDREN)
		die("write");
	add(MUTEX, 1, 0);
	while (read(records[0], &record, sizeof(record)) == sizeof(record)) {
		sums[record.child] = sums[record.child] * 10 + record.round;
		n++;
		if (write(answers[1], "x", 1) != 1)
			die("write");
	}
	for (int i = 0; i < CHILDREN; i++) {
		if (waitpid(children[i], &status, 0) != children[i])
			die("waitpid");
		printf("child %d: status %#x, rounds %05ld\n", i, status, sums[i]);
	}
	while (!shared->thread_done)
		sched_yield();
	printf("%ld records, counter %ld, semaphores %d and %d\n", n, shared->counter,
	       semctl(semaphores, MUTEX, GETVAL), semctl(semaphores, READY, GETVAL));
	return semctl(semaphores, 0, IPC_RMID);
}
