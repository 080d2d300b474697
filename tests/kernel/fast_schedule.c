/* Switches of many kinds: between processes, threads of one address space, and to nobody. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char stack[16384];

static int thread(void *rounds)
{
	for (long i = 0; i < (long)rounds; i++)
		sched_yield();
	return 7;
}

int main(void)
{
	struct timespec nap = { 0, 100000 };
	long sum = 0;
	int status, ends[2];
	char byte = 'a';

	for (int i = 0; i < 40; i++) {  /* one child at a time */
		pid_t child = fork();

		if (child == 0) {
			if (i % 3 == 0)
				setpriority(PRIO_PROCESS, 0, i % 20);
			for (int j = 0; j < i % 5; j++)
				sched_yield();
			if (i % 4 == 0)
				nanosleep(&nap, NULL);
			_exit(i);
		}
		if (i % 2 == 0)
			sched_yield();
		waitpid(child, &status, 0);
		sum += WEXITSTATUS(status);
	}
	for (int i = 0; i < 5; i++)  /* several */
		if (fork() == 0)
			_exit(thread((void *)(long)i));
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	pipe(ends);
	if (fork() == 0) {  /* who sleeps in turn */
		for (int i = 0; i < 20; i++)
			write(ends[1], &byte, 1);
		_exit(0);
	}
	for (int i = 0; i < 20; i++)
		sum += read(ends[0], &byte, 1);
	wait(&status);
	clone(thread, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)20L);
	thread((void *)20L);
	wait(&status);
	sum += WEXITSTATUS(status);
	if (vfork() == 0)
		_exit(3);
	wait(&status);
	sum += WEXITSTATUS(status);
	printf("%ld\n", sum);
	return 0;
}
