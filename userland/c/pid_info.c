/*
 * get_pid_info: ask after this process, its two children, and every parent up
 * to the root of the tree.
 */
#include <errno.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_MAX 4096

static long children[64];
static char root[PATH_MAX], pwd[PATH_MAX];
static struct pid_info info = {
	.children = children, .root = root, .pwd = pwd,
};

static void show(long pid)
{
	if (get_pid_info(&info, pid)) {
		printf("%ld: error %d\n", pid, errno);
		return;
	}
	printf("%ld: state %ld, age %ld s, parent %ld, root %s, pwd %s, stack %s, children",
	       info.pid, info.state, info.age, info.parent_pid, info.root,
	       info.pwd, info.process_stack ? "yes" : "none");
	for (long *child = children; *child; child++)
		printf(" %ld", *child);
	printf("\n");
}

int main(void)
{
	struct timespec moment = { .tv_sec = 2 }, hour = { .tv_sec = 3600 };
	long sleeper = ft_fork(), zombie;

	if (!sleeper)
		nanosleep(&hour, NULL);
	zombie = ft_fork();
	if (!zombie)
		exit(7);
	nanosleep(&moment, NULL);
	printf("a child that sleeps, and one that has ended:\n");
	show(sleeper);
	show(zombie);
	printf("this process and its parents:\n");
	for (long pid = getpid(); pid; pid = info.parent_pid)
		show(pid);
	printf("nobody, and a bad address:\n");
	show(30000);
	if (get_pid_info(NULL, 1))
		printf("NULL: error %d\n", errno);
	ft_kill(sleeper, SIGKILL);
	while (wait(NULL) > 0)
		;
	return EXIT_SUCCESS;
}
