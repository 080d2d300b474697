#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int value = 1;

int main(void)
{
	if (fork() == 0) {
		value++;
		printf("child %d\n", value);
		return 0;
	}
	wait(NULL);
	printf("parent %d\n", value);
	return 0;
}
