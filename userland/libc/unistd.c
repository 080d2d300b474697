/* The system calls that have a function of their own. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* One thread, so one place. */
int errno;

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list arguments;

		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return syscall(__NR_open, path, flags, mode);
}

int close(int fd)
{
	return syscall(__NR_close, fd);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	return syscall(__NR_read, fd, buffer, size);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
	return syscall(__NR_write, fd, buffer, size);
}

off_t lseek(int fd, off_t offset, int origin)
{
	return syscall(__NR_lseek, fd, offset, origin);
}

int unlink(const char *path)
{
	return syscall(__NR_unlink, path);
}

pid_t getpid(void)
{
	return syscall(__NR_getpid);
}

pid_t getppid(void)
{
	return syscall(__NR_getppid);
}

void _exit(int status)
{
	for (;;)
		syscall(__NR_exit_group, status);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(__NR_mmap, address, size, protection, flags, fd, offset);
}

int munmap(void *address, size_t size)
{
	return syscall(__NR_munmap, address, size);
}

int mprotect(void *address, size_t size, int protection)
{
	return syscall(__NR_mprotect, address, size, protection);
}

/* The call answers with the end of the heap, moved or not; see brk(2), NOTES. */
static char *heap_end(void *wanted)
{
	return (char *)syscall(__NR_brk, wanted);
}

int brk(void *end)
{
	if (heap_end(end) == end)
		return 0;
	errno = ENOMEM;
	return -1;
}

void *sbrk(long increment)
{
	char *old = heap_end(NULL);

	if (increment && brk(old + increment))
		return (void *)-1;
	return old;
}

int clock_gettime(int clock, struct timespec *now)
{
	return syscall(__NR_clock_gettime, clock, now);
}

int nanosleep(const struct timespec *request, struct timespec *rest)
{
	return syscall(__NR_nanosleep, request, rest);
}
