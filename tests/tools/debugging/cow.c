#include <sys/wait.h>
#include <unistd.h>

int shared __attribute__((aligned(4096))) = 1;

int main(void)
{
	shared = 2;
	if (fork() == 0) {
		shared = 3;
		_exit(shared);
	}
	wait(0);
	shared = 4;
	return 0;
}
