/* "Operating Systems: Three Easy Pieces", Process API: does the parent, who waits, print last? */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int answer;

	printf("hello\n");
	fflush(stdout);
	answer = fork();
	if (answer < 0) {
		fprintf(stderr, "fork failed\n");
		exit(1);
	} else if (answer == 0) {
		printf("hello, I am the child\n");
	} else {
		int waited = wait(NULL);

		printf("hello, I am the parent, and waited for %s\n",
		       waited == answer ? "the child" : "another");
	}
	return 0;
}
