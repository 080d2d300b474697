/* ft_wait: it sleeps until a child has ended, and says when there is none. */
#include <errno.h>
#include <process.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static void show(const char *what, long result)
{
	if (result == -1)
		printf("%s: error %d\n", what, errno);
	else
		printf("%s: %ld\n", what, result);
}

int main(void)
{
	struct timespec second = { .tv_sec = 1 };
	int status;

	for (int i = 1; i <= 3; i++) {
		if (!ft_fork()) {
			for (int j = 0; j < i; j++)
				nanosleep(&second, NULL);
			exit(10 * i);
		}
	}
	for (int i = 1; i <= 3; i++) {
		long result = ft_wait(&status);

		printf("ft_wait: %ld, exit status %d\n", result,
		       WEXITSTATUS(status));
	}
	show("no child is left", ft_wait(&status));
	if (!ft_fork())
		exit(0);
	show("a bad address", ft_wait((int *)8));
	return EXIT_SUCCESS;
}
