/* Sending signals. */
#ifndef SIGNAL_H
#define SIGNAL_H

#include <sys/types.h>

#define SIGKILL 9
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19

int kill(pid_t pid, int sig);

#endif
