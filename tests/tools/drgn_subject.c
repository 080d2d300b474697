/* What tests/tools/test_drgn.py looks at: a file in the page cache, a thread, a child that sleeps, a
 * child that is a zombie.  Prints the numbers of the tasks, and sleeps. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 70 /* more than an xa_node has slots */

static char text[] = "this lies in the program's data";

static void *sleeps(void *number)
{
	struct timespec time = { 2000, 0 };

	*(volatile long *)number = syscall(SYS_gettid);
	nanosleep(&time, NULL);
	return NULL;
}

int main(void)
{
	struct timespec time = { 1000, 0 };
	volatile long thread_number = 0;
	pthread_t thread;
	char page[4096];
	pid_t sleeper, zombie;
	int fd = open("/tmp/drgn.data", O_RDWR | O_CREAT | O_TRUNC, 0644);

	for (int i = 0; i < PAGES; i++) {
		memset(page, 'A' + i % 26, sizeof(page));
		if (write(fd, page, sizeof(page)) != sizeof(page))
			return 1;
	}
	if (mmap(NULL, sizeof(page), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return 1;
	sleeper = fork();
	if (!sleeper) {
		nanosleep(&time, NULL);
		_exit(0);
	}
	zombie = fork();
	if (!zombie)
		_exit(7);
	if (pthread_create(&thread, NULL, sleeps, (void *)&thread_number))
		return 1;
	while (!thread_number)
		sched_yield();
	printf("%d %d %d %ld %p %p %zu\n", getpid(), sleeper, zombie, thread_number, (void *)main,
	       (void *)text, sizeof(text));
	fflush(stdout);
	time.tv_sec = 3000;
	return nanosleep(&time, NULL);
}
