#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int ends[2];
	char byte;

	pipe(ends);
	if (fork() == 0) {
		read(ends[0], &byte, 1);
		_exit(byte);
	}
	sleep(1);
	write(ends[1], "A", 1);
	wait(NULL);
	puts("done");
	return 0;
}
