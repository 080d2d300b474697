/* yield_loop_c TIMES: two processes on one CPU give it to each other, so often each. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int times = atoi(argv[1]), status = 1;
	cpu_set_t one;
	pid_t child;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	child = fork();
	for (int i = 0; i < times; i++)
		sched_yield();
	if (child == 0)
		_exit(0);
	waitpid(child, &status, 0);
	printf("%d\n", times);
	return argc != 2 || status != 0;
}
