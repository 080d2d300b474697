/* System calls on files and processes. */
#ifndef UNISTD_H
#define UNISTD_H

#include <stddef.h>
#include <sys/types.h>

#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2

#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2

ssize_t read(int fd, void *buffer, size_t size);
ssize_t write(int fd, const void *buffer, size_t size);
off_t lseek(int fd, off_t offset, int origin);
int close(int fd);
int unlink(const char *path);

pid_t getpid(void);
pid_t getppid(void);
pid_t fork(void);
int execve(const char *path, char *const argv[], char *const envp[]);
void _exit(int status) __attribute__((noreturn));

int brk(void *end);
void *sbrk(long increment);

/* Any call by its number, as syscall(2). */
long syscall(long number, ...);

#endif
