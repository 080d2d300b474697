#include <sys/wait.h>
#include <unistd.h>

int shared[1024] __attribute__((aligned(4096)));
int other[1024] __attribute__((aligned(4096)));

int main(void)
{
	int ends[2];

	shared[0] = other[0] = 2;
	pipe(ends);
	write(ends[1], "abcd", 4);
	if (fork() == 0) {
		other[0] = 3;
		read(ends[0], shared, 4);
		_exit(0);
	}
	wait(0);
	return 0;
}
