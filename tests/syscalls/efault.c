/*
 * What does each call that takes a pointer make of one that is null, points
 * into the kernel, to nothing, to what cannot be written, or to an object
 * that is only partly there?
 *
 * Not every call looks at every pointer, and some give what they could copy:
 * the truth is what Linux does.
 */
#include "report.h"
#include <asm/prctl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/uio.h>

/* Bytes of a straddling object that are there. */
#define PART 2

/* Descriptors at fixed numbers, so that the table is constant. */
enum { FILE_FD = 40, DIRECTORY_FD, NULL_FD, ZERO_FD };

/* Bits of row.kind: what the call does with what the pointer points to. */
enum {
	IN = 1,		/* reads it */
	OUT = 2,	/* writes it */
	COUNT = 4,	/* and its value tells how much, the same everywhere */
	BLIND = 8,	/* or only looks whether the address is a program's */
};

struct row {
	const char *call;
	const char *pointer;	/* the parameter, as its manual page names it */
	long number;
	int argument;		/* which one is replaced, from 0 */
	int kind;
	long arguments[6];
};

/* Objects that pass, for the pointers that are not being tried. */
static struct timespec instant = { 0, 1 };
static struct rlimit limit;
static struct rlimit *limit_address = &limit;
static char buffer[4096];
static size_t size;

#define NAME "file"
#define ROW(call, pointer, argument, kind, ...)                                \
	{ #call, #pointer, SYS_##call, argument, kind, { __VA_ARGS__ } }
#define P(object) ((long)(object))

static void try_row(const struct row *row, const char *what, long address)
{
	long arguments[6];
	long result;

	memcpy(arguments, row->arguments, sizeof(arguments));
	arguments[row->argument] = address;
	lseek(FILE_FD, 0, SEEK_SET);
	lseek(DIRECTORY_FD, 0, SEEK_SET);
	result = syscall(row->number, arguments[0], arguments[1], arguments[2],
			 arguments[3], arguments[4], arguments[5]);
	if (result == -1)
		say("%s %s %s -> %s\n", row->call, row->pointer, what,
		    strerrorname_np(errno));
	else if (row->kind & COUNT)
		say("%s %s %s -> %ld\n", row->call, row->pointer, what, result);
	else
		say("%s %s %s -> ok\n", row->call, row->pointer, what);
}

/* Three pages: one that can be read and written, a hole, one to read. */
static char *pages;

static void try_all_addresses(const struct row *row)
{
	char *hole = pages + PAGE;

	/* What was copied before may have changed the letters. */
	memset(hole - PART, 'x', PART);
	try_row(row, "null", 0);
	try_row(row, "direct map", 0xffff888000000000);
	try_row(row, "kernel text", 0xffffffff80100000);
	try_row(row, "last page", -PAGE);
	try_row(row, "non-canonical", 0x8000000000000000);
	/* With five levels of page tables this may be a program's address. */
	if (!(row->kind & BLIND))
		try_row(row, "end of user space", 0x7ffffffff000);
	try_row(row, "unmapped", P(hole));
	if (row->kind & OUT)
		try_row(row, "read-only", P(pages + 2 * PAGE));
	try_row(row, "straddling", P(hole - PART));
}

/* In the order of syscalls.tbl.  The pointer that is tried is written as 0. */
static void try_files(void)
{
	const struct row rows[] = {
		ROW(read, buf, 1, OUT | COUNT, FILE_FD, 0, 8),
		ROW(write, buf, 1, IN | COUNT, FILE_FD, 0, 8),
		ROW(open, pathname, 0, IN, 0, O_RDONLY),
		ROW(stat, pathname, 0, IN, 0, P(buffer)),
		ROW(stat, statbuf, 1, OUT, P(NAME), 0),
		ROW(fstat, statbuf, 1, OUT, FILE_FD, 0),
		ROW(lstat, pathname, 0, IN, 0, P(buffer)),
		ROW(lstat, statbuf, 1, OUT, P(NAME), 0),
		ROW(poll, fds, 0, IN | OUT, 0, 1, 0),
		ROW(ioctl, FIONREAD, 2, OUT, FILE_FD, FIONREAD, 0),
		ROW(ioctl, FIONBIO, 2, IN, FILE_FD, FIONBIO, 0),
		ROW(pread64, buf, 1, OUT | COUNT, FILE_FD, 0, 8, 0),
		ROW(pwrite64, buf, 1, IN | COUNT, FILE_FD, 0, 8, 0),
		ROW(readv, iov, 1, IN, FILE_FD, 0, 1),
		ROW(writev, iov, 1, IN, FILE_FD, 0, 1),
		ROW(access, pathname, 0, IN, 0, F_OK),
		ROW(pipe, pipefd, 0, OUT, 0),
		ROW(truncate, path, 0, IN, 0, 8),
		ROW(getcwd, buf, 0, OUT, 0, sizeof(buffer)),
		ROW(chdir, path, 0, IN, 0),
		ROW(mkdir, pathname, 0, IN, 0, 0755),
		ROW(unlink, pathname, 0, IN, 0),
		ROW(readlink, pathname, 0, IN, 0, P(buffer), sizeof(buffer)),
		ROW(readlink, buf, 1, OUT, P("/proc/self/exe"), 0, sizeof(buffer)),
		ROW(getdents64, dirp, 1, OUT, DIRECTORY_FD, 0, sizeof(buffer)),
		ROW(openat, pathname, 1, IN, AT_FDCWD, 0, O_RDONLY),
		ROW(mkdirat, pathname, 1, IN, AT_FDCWD, 0, 0755),
		ROW(newfstatat, pathname, 1, IN, AT_FDCWD, 0, P(buffer), 0),
		ROW(newfstatat, statbuf, 2, OUT, AT_FDCWD, P(NAME), 0, 0),
		ROW(unlinkat, pathname, 1, IN, AT_FDCWD, 0, 0),
		ROW(readlinkat, pathname, 1, IN, AT_FDCWD, 0, P(buffer), sizeof(buffer)),
		ROW(faccessat, pathname, 1, IN, AT_FDCWD, 0, F_OK),
		ROW(pipe2, pipefd, 0, OUT, 0, O_CLOEXEC),
		ROW(statx, pathname, 1, IN, AT_FDCWD, 0, 0, STATX_SIZE, P(buffer)),
		ROW(statx, statxbuf, 4, OUT, AT_FDCWD, P(NAME), 0, STATX_SIZE, 0),
		ROW(faccessat2, pathname, 1, IN, AT_FDCWD, 0, F_OK, 0),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try_all_addresses(&rows[i]);
}

static void try_processes(void)
{
	const struct row rows[] = {
		ROW(rt_sigaction, act, 1, IN, SIGUSR1, 0, 0, 8),
		ROW(rt_sigaction, oldact, 2, OUT, SIGUSR1, 0, 0, 8),
		ROW(rt_sigprocmask, set, 1, IN, SIG_BLOCK, 0, 0, 8),
		ROW(rt_sigprocmask, oldset, 2, OUT, SIG_BLOCK, 0, 0, 8),
		ROW(mincore, vec, 2, OUT, P(pages), PAGE, 0),
		ROW(nanosleep, req, 0, IN, 0, 0),
		ROW(nanosleep, rem, 1, OUT, P(&instant), 0),
		ROW(uname, buf, 0, OUT, 0),
		ROW(gettimeofday, tv, 0, OUT, 0, 0),
		ROW(gettimeofday, tz, 1, OUT, 0, 0),
		ROW(getrlimit, rlim, 1, OUT, RLIMIT_CORE, 0),
		ROW(getrusage, usage, 1, OUT, RUSAGE_SELF, 0),
		ROW(sysinfo, info, 0, OUT, 0),
		ROW(times, buf, 0, OUT, 0),
		ROW(sigaltstack, ss, 0, IN, 0, 0),
		ROW(sigaltstack, old_ss, 1, OUT, 0, 0),
		ROW(prctl, PR_SET_NAME, 1, IN, PR_SET_NAME, 0),
		ROW(prctl, PR_GET_NAME, 1, OUT, PR_GET_NAME, 0),
		ROW(arch_prctl, ARCH_GET_FS, 1, OUT, ARCH_GET_FS, 0),
		ROW(setrlimit, rlim, 1, IN, RLIMIT_CORE, 0),
		ROW(time, tloc, 0, OUT, 0),
		ROW(sched_getaffinity, mask, 2, OUT, 0, sizeof(buffer), 0),
		ROW(set_tid_address, tidptr, 0, OUT, 0),
		ROW(clock_gettime, tp, 1, OUT, CLOCK_MONOTONIC, 0),
		ROW(clock_getres, res, 1, OUT, CLOCK_MONOTONIC, 0),
		ROW(clock_nanosleep, request, 2, IN, CLOCK_MONOTONIC, 0, 0, 0),
		ROW(clock_nanosleep, remain, 3, OUT, CLOCK_MONOTONIC, 0, P(&instant), 0),
		ROW(set_robust_list, head, 0, IN, 0, 24),
		ROW(get_robust_list, head_ptr, 1, OUT, 0, 0, P(&size)),
		ROW(get_robust_list, sizep, 2, OUT, 0, P(&limit_address), 0),
		ROW(prlimit64, new_limit, 2, IN, 0, RLIMIT_CORE, 0, 0),
		ROW(prlimit64, old_limit, 3, OUT, 0, RLIMIT_CORE, 0, 0),
		ROW(getrandom, buf, 0, OUT | COUNT, 0, 16, 0),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try_all_addresses(&rows[i]);
}

static void try_semaphores(void)
{
	struct sembuf zero = { 0, 0, IPC_NOWAIT };
	long set = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
	const struct row rows[] = {
		ROW(semop, sops, 1, IN, set, 0, 1),
		ROW(semctl, IPC_SET, 3, IN, set, 0, IPC_SET, 0),
		ROW(semctl, IPC_STAT, 3, OUT, set, 0, IPC_STAT, 0),
		ROW(semctl, IPC_INFO, 3, OUT, 0, 0, IPC_INFO, 0),
		ROW(semctl, GETALL, 3, OUT, set, 0, GETALL, 0),
		ROW(semctl, SETALL, 3, IN, set, 0, SETALL, 0),
		ROW(semctl, SEM_STAT, 3, OUT, set & 0x7fff, 0, SEM_STAT, 0),
		ROW(semctl, SEM_INFO, 3, OUT, 0, 0, SEM_INFO, 0),
		ROW(semtimedop, sops, 1, IN, set, 0, 1, P(&instant)),
		ROW(semtimedop, timeout, 3, IN, set, P(&zero), 1, 0),
	};

	if (set < 0)
		die("make a set of semaphores");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try_all_addresses(&rows[i]);
	semctl(set, 0, IPC_RMID);
}

/* Devices do not look at what they throw away. */
static void try_devices(void)
{
	const struct row rows[] = {
		{ "read", "/dev/null", SYS_read, 1, OUT | COUNT | BLIND, { NULL_FD, 0, 8 } },
		{ "write", "/dev/null", SYS_write, 1, IN | COUNT | BLIND, { NULL_FD, 0, 8 } },
		{ "read", "/dev/zero", SYS_read, 1, OUT | COUNT, { ZERO_FD, 0, 8 } },
		{ "write", "/dev/zero", SYS_write, 1, IN | COUNT | BLIND, { ZERO_FD, 0, 8 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try_all_addresses(&rows[i]);
}

/* A good vector with one bad buffer: alone, and behind a good one. */
static void try_vectors(void)
{
	const struct {
		const char *what;
		long address;
	} bases[] = {
		{ "null", 0 },
		{ "direct map", 0xffff888000000000 },
		{ "kernel text", 0xffffffff80100000 },
		{ "unmapped", P(pages + PAGE) },
		{ "straddling", P(pages + PAGE - PART) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		struct iovec vector[] = {
			{ buffer, 3 }, { (void *)bases[i].address, 4 },
		};

		say("%s\n", bases[i].what);
		lseek(FILE_FD, 0, SEEK_SET);
		CALL(readv, FILE_FD, vector + 1, 1L);
		CALL(readv, FILE_FD, vector, 2L);
		CALL(writev, FILE_FD, vector + 1, 1L);
		CALL(writev, FILE_FD, vector, 2L);
	}
}

static void place(int fd, int number)
{
	if (fd < 0 || dup2(fd, number) != number)
		die("place a descriptor");
	close(fd);
}

int main(void)
{
	pages = map_pages(3);
	munmap(pages + PAGE, PAGE);
	mprotect(pages + 2 * PAGE, PAGE, PROT_READ);
	getrlimit(RLIMIT_CORE, &limit);

	enter_scratch("efault");
	place(make_file(NAME, "0123456789abcdefghijklmnopqrstuvwxyz"), FILE_FD);
	place(open(".", O_RDONLY | O_DIRECTORY), DIRECTORY_FD);
	place(open("/dev/null", O_RDWR), NULL_FD);
	place(open("/dev/zero", O_RDWR), ZERO_FD);
	try_files();
	try_processes();
	try_semaphores();
	try_devices();
	try_vectors();
	unlink(NAME);
	leave_scratch();
	return report_status();
}
