/* The lecture's example as it is: a child that sleeps a second, and a parent that waits. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		sleep(1);
		printf("Nooooooooo!\n");
		exit(99);
	}
	waitpid(child, &status, 0);
	printf("The child's status is %d.\n", WEXITSTATUS(status));
	return 0;
}
