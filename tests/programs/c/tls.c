/* Do thread-local variables and constructors work before main? */
#include <stdio.h>

static __thread int zero;
static __thread int answer = 42;
static __thread char room[5000];
static int constructed;

__attribute__((constructor)) static void construct(void)
{
	constructed = answer + 1;
	room[4999] = 9;
}

__attribute__((destructor)) static void destruct(void)
{
	puts("destructed");
}

int main(void)
{
	zero += 3;
	printf("%d %d %d %d\n", zero, answer, constructed, room[4999]);
	return 0;
}
