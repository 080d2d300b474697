/* cow_loop TIMES: a child writes a byte in each page of 4 MiB that it shares with its parent. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 4 << 20, PAGE = 4096 };

int main(int argc, char **argv)
{
	int times = atoi(argv[1]), done = 0;
	volatile char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < SIZE; i += PAGE)
		memory[i] = 1;
	for (int i = 0; i < times; i++) {
		pid_t child = fork();
		int status = 1;

		if (child == 0) {
			for (int j = 0; j < SIZE; j += PAGE)
				memory[j] = 2;
			_exit(0);
		}
		if (waitpid(child, &status, 0) == child && status == 0)
			done += memory[SIZE - PAGE];
	}
	printf("%d\n", done);
	return argc != 2;
}
