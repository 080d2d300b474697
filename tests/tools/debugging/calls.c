#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>
int counter;
static int add(int a, int b)
{
	int c = a + b;
	return c;
}
int work(int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum = add(sum, i);
	counter = sum;
	return sum;
}
int main(void)
{
	int r = work(5);
	printf("%d\n", r);
	if (fork() == 0) {
		counter++;
		_exit(3);
	}
	wait(NULL);
	return 0;
}
