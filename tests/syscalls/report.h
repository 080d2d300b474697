/*
 * What the programs of this directory share: one line of output for each
 * question, a directory to make files in, and probes of memory.
 *
 * Lines are written at once and without the heap, so that a program that dies
 * shows how far it came, and so that brk(2) can be tested.
 */
#ifndef REPORT_H
#define REPORT_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Make the system call itself, not what the library makes of it, and print
 *
 *	name(arguments as written) -> value, or the name of the error
 *
 * Arguments that the kernel takes as 64 bits must be long: -1L, not -1.
 */
#define CALL(name, ...)                                                        \
	show(#name "(" #__VA_ARGS__ ")",                                       \
	     syscall(SYS_##name __VA_OPT__(, ) __VA_ARGS__))

/* The same, for a value that is not the same everywhere: print "ok". */
#define CALL_OK(name, ...)                                                     \
	show_ok(#name "(" #__VA_ARGS__ ")",                                    \
		syscall(SYS_##name __VA_OPT__(, ) __VA_ARGS__))

/* Print an expression and its value. */
#define SHOW(expression) show(#expression, (long)(expression))

/* Print a relation and whether it holds; one that does not is a failure. */
#define CHECK(relation) check(#relation, !!(relation))

static int report_failures;

static inline void say(const char *format, ...)
{
	char line[1024];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (write(STDOUT_FILENO, line, size) != size)
		_exit(125);
}

static inline long show(const char *what, long result)
{
	int error = errno;

	if (result == -1)
		say("%s -> %s\n", what, strerrorname_np(error));
	else
		say("%s -> %ld\n", what, result);
	errno = error;
	return result;
}

static inline long show_ok(const char *what, long result)
{
	if (result == -1)
		return show(what, result);
	say("%s -> ok\n", what);
	return result;
}

static inline void check(const char *relation, int holds)
{
	say("%s: %s\n", relation, holds ? "yes" : "no");
	report_failures += !holds;
}

/* What main() returns: 0, or 1 if a relation did not hold. */
static inline int report_status(void)
{
	return report_failures != 0;
}

/* Leave at once: the question cannot be asked here. */
static inline void die(const char *what)
{
	say("cannot %s: %s\n", what, strerrorname_np(errno));
	_exit(125);
}

static char scratch_directory[64];

/*
 * Make an empty directory that no other process uses and go there.  Names of
 * files are relative, so that lines of output do not depend on its name.
 */
static inline void enter_scratch(const char *program)
{
	umask(022);
	snprintf(scratch_directory, sizeof(scratch_directory), "/tmp/%s.%d",
		 program, getpid());
	if (mkdir(scratch_directory, 0755))
		die("make a scratch directory");
	if (chdir(scratch_directory))
		die("enter the scratch directory");
}

/* Remove the directory; the program has removed its files. */
static inline void leave_scratch(void)
{
	if (chdir("/"))
		die("leave the scratch directory");
	if (unlinkat(AT_FDCWD, scratch_directory, AT_REMOVEDIR))
		die("remove the scratch directory");
}

/* Make or replace a file and return a descriptor, open for both, at 0. */
static inline int make_file(const char *name, const char *content)
{
	size_t size = strlen(content);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		die("make a file");
	if (pwrite(fd, content, size, 0) != (ssize_t)size)
		die("fill a file");
	return fd;
}

/* Print what a file holds, with '.' for bytes of zero. */
static inline void show_content(const char *name)
{
	char text[256];
	ssize_t size;
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		die("open a file");
	size = pread(fd, text, sizeof(text), 0);
	close(fd);
	for (ssize_t i = 0; i < size; i++)
		if (!text[i])
			text[i] = '.';
	say("%s holds \"%.*s\"\n", name, (int)size, text);
}

/*
 * Whether the kernel can read 8 bytes at an address for us.  It copies the
 * set before it looks at an impossible "how", so nothing changes.
 */
static inline int readable(const void *address)
{
	return syscall(SYS_rt_sigprocmask, -1, address, NULL, 8L) == -1 &&
	       errno == EINVAL;
}

/* Whether it can write there.  The bytes keep their value. */
static inline int writable(void *address)
{
	long value = readable(address) ? *(volatile long *)address : 0;

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, address, 8L))
		return 0;
	*(volatile long *)address = value;
	return 1;
}

/* Print for each page of a range: r or w, or - for neither. */
static inline void show_access(const char *what, char *address, long nr_pages)
{
	char line[64] = "";

	for (long i = 0; i < nr_pages; i++) {
		char *page = address + i * PAGE;

		line[i] = writable(page) ? 'w' : readable(page) ? 'r' : '-';
	}
	say("%s: %s\n", what, line);
}

/* Map fresh private pages, readable and writable. */
static inline char *map_pages(long nr_pages)
{
	char *address = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		die("map memory");
	return address;
}

/* Nanoseconds of a clock. */
static inline int64_t clock_now(clockid_t clock)
{
	struct timespec now;

	if (syscall(SYS_clock_gettime, clock, &now))
		die("read a clock");
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

#endif
