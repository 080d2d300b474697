/* Set pid_max to the first argument, then fork children one at a time and print their numbers: all
 * up to pid_max, then as many as there are from 300 on, then one more. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int limit = atoi(argv[1]);
	int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_TRUNC);

	if (argc != 2 || write(fd, argv[1], strlen(argv[1])) != (ssize_t)strlen(argv[1]))
		return 1;
	for (int n = getpid() + 1; n < limit + (limit - 300) + 1; n++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 2;
		printf("%d\n", pid);
	}
	return 0;
}
