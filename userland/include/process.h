/* The calls that only this kernel has.  See docs/processes.md. */
#ifndef PROCESS_H
#define PROCESS_H

struct pid_info {
	long pid;
	long state;         /* 0 runnable; < 0 ended; > 0 waiting or stopped */
	long process_stack; /* where its stack began */
	long age;           /* seconds */
	long *children;     /* the caller's array: numbers, and a 0 */
	long parent_pid;
	char *root;         /* the caller's, PATH_MAX bytes */
	char *pwd;          /* the same */
};

long get_pid_info(struct pid_info *ret, int pid);
long ft_kill(long pid, int sig);
long ft_wait(int *status);
long ft_fork(void);

#endif
