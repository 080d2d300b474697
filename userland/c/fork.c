/*
 * Two processes from one: fork, sleep, exit, and the parent that waits.
 *
 * The child's copy of "answer" is its own: what it writes there the parent
 * never sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec second = { .tv_sec = 1 };
	int answer = 42, status;
	pid_t pid = fork();

	switch (pid) {
	case -1:
		printf("fork failed\n");
		return EXIT_FAILURE;
	case 0:
		answer = 6 * 9;
		nanosleep(&second, NULL);
		printf("Nooooooooo! The answer is %d\n", answer);
		exit(99);
	default:
		printf("I am your father!\n");
	}
	if (waitpid(pid, &status, 0) == -1)
		return EXIT_FAILURE;
	printf("Child exit status: %d, and the answer is %d\n",
	       WEXITSTATUS(status), answer);
	return EXIT_SUCCESS;
}
