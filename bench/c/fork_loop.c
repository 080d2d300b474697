/*
 * fork_loop TIMES MIB: fork, exit and wait again and again, with so much memory written before.
 *
 * By the system call, because Qiling cannot do the clone(2) of the library's fork.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int times = atoi(argv[1]), done = 0;
	long size = atol(argv[2]) << 20;
	volatile char *memory = malloc(size + 1);

	for (long i = 0; i < size; i += 4096)
		memory[i] = 1;
	for (int i = 0; i < times; i++) {
		pid_t child = syscall(SYS_fork);
		int status = 1;

		if (child == 0)
			_exit(0);
		if (waitpid(child, &status, 0) == child && status == 0)
			done++;
	}
	printf("%d\n", done);
	return argc != 3;
}
