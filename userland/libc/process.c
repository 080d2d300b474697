/* Making, ending and asking after processes. */
#include <process.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t fork(void)
{
	return syscall(__NR_fork);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	return syscall(__NR_execve, path, argv, envp);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return syscall(__NR_wait4, pid, status, options, NULL);
}

pid_t wait(int *status)
{
	return waitpid(-1, status, 0);
}

int kill(pid_t pid, int sig)
{
	return syscall(__NR_kill, pid, sig);
}

long get_pid_info(struct pid_info *ret, int pid)
{
	return syscall(__NR_get_pid_info, ret, pid);
}

long ft_kill(long pid, int sig)
{
	return syscall(__NR_ft_kill, pid, sig);
}

long ft_wait(int *status)
{
	return syscall(__NR_ft_wait, status);
}

long ft_fork(void)
{
	return syscall(__NR_ft_fork);
}
