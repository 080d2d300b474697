/* What does pipe(2) make, and how do its two ends read and write? */
#include "report.h"
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static char buffer[3 * PAGE];

static void show_pipe(const char *what, int fd)
{
	struct stat status;

	if (fstat(fd, &status))
		die("fstat");
	say("%s: mode %o links %ld size %ld blksize %ld blocks %ld%s\n", what,
	    status.st_mode, (long)status.st_nlink, (long)status.st_size,
	    (long)status.st_blksize, (long)status.st_blocks,
	    status.st_uid == geteuid() && status.st_gid == getegid() ? " mine" : "");
}

static void show_bytes(int fd)
{
	int bytes = -1;

	if (ioctl(fd, FIONREAD, &bytes))
		die("FIONREAD");
	say("%d bytes\n", bytes);
}

static void order_and_merging(const int *fds)
{
	CALL(write, fds[1], "one ", 4);
	CALL(write, fds[1], "two ", 4);
	CALL(write, fds[1], "three", 5);
	show_bytes(fds[0]);
	show_bytes(fds[1]);
	memset(buffer, 0, sizeof(buffer));
	CALL(read, fds[0], buffer, 6);
	say("\"%s\"\n", buffer);
	memset(buffer, 0, sizeof(buffer));
	CALL(read, fds[0], buffer, sizeof(buffer));
	say("\"%s\"\n", buffer);
	show_bytes(fds[0]);
}

static void vectors(const int *fds)
{
	struct iovec out[3] = { { "ab", 2 }, { NULL, 0 }, { "cdefg", 5 } };
	struct iovec in[2] = { { buffer, 3 }, { buffer + 100, 10 } };

	memset(buffer, 0, sizeof(buffer));
	CALL(writev, fds[1], out, 3);
	CALL(readv, fds[0], in, 2);
	say("\"%s\" \"%s\"\n", buffer, buffer + 100);
}

static void what_it_cannot(const int *fds)
{
	CALL(read, fds[1], buffer, 1L);
	CALL(write, fds[0], "x", 1L);
	CALL(read, fds[0], buffer, 0L);
	CALL(write, fds[1], buffer, 0L);
	CALL(lseek, fds[0], 0L, SEEK_SET);
	CALL(lseek, fds[1], 0L, SEEK_END);
	CALL(lseek, fds[1], 0L, 99);
	CALL(pread64, fds[0], buffer, 1L, 0L);
	CALL(pwrite64, fds[1], buffer, 1L, 0L);
	CALL(ftruncate, fds[1], 0L);
	CALL(fchdir, fds[0]);
	CALL(getdents64, fds[0], buffer, 100L);
	CALL(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0L);
	CALL(mmap, NULL, PAGE, PROT_READ, MAP_SHARED, fds[1], 0L);
	CALL(ioctl, fds[0], TIOCGWINSZ, buffer);
	CALL(ioctl, fds[0], FIONREAD, NULL);
	CALL(ioctl, fds[0], FIOQSIZE, buffer);
	CALL(fcntl, fds[0], F_SETFL, O_DIRECT);
	CALL(fcntl, fds[0], F_GETFL);
	CALL(fcntl, fds[0], F_SETFL, 0);
}

static void faults(const int *fds)
{
	char *memory = map_pages(2);

	munmap(memory + PAGE, PAGE);
	CALL(write, fds[1], NULL, 1L);
	CALL(write, fds[1], memory + PAGE - 10, 20L);
	show_bytes(fds[0]);
	/* The first page can be read, the second cannot. */
	CALL(write, fds[1], memory, PAGE + 20);
	show_bytes(fds[0]);
	CALL(read, fds[0], memory, PAGE);
	/* Behind other bytes: what is no whole page would go there first. */
	CALL(write, fds[1], "abc", 3L);
	CALL(write, fds[1], memory + PAGE - 10, 20L);
	show_bytes(fds[0]);
	CALL(write, fds[1], memory + 10, PAGE);
	show_bytes(fds[0]);
	CALL(read, fds[0], memory + PAGE - 1, 3L);
	show_bytes(fds[0]);
	CALL(read, fds[0], NULL, 3L);
	memset(buffer, 0, sizeof(buffer));
	CALL(read, fds[0], buffer, sizeof(buffer));
	say("\"%s\"\n", buffer);
	CALL(pipe, NULL);
	CALL(pipe, memory + PAGE);
	CALL(pipe, (char *)-8L);
}

int main(void)
{
	struct stat one, two;
	int fds[2], again[2];

	CALL(pipe, fds);
	CHECK(fds[0] == 3 && fds[1] == 4);
	show_pipe("read end", fds[0]);
	show_pipe("write end", fds[1]);
	fstat(fds[0], &one);
	fstat(fds[1], &two);
	CHECK(one.st_ino == two.st_ino && one.st_dev == two.st_dev);
	CALL(fcntl, fds[0], F_GETFL);
	CALL(fcntl, fds[1], F_GETFL);
	CALL(fcntl, fds[0], F_GETFD);
	order_and_merging(fds);
	vectors(fds);
	what_it_cannot(fds);
	faults(fds);
	CALL(pipe, again);
	CHECK(again[0] == 5 && again[1] == 6);
	fstat(again[0], &two);
	CHECK(one.st_ino != two.st_ino && one.st_dev == two.st_dev);
	CALL(close, again[0]);
	CALL(close, again[1]);

	/* What is in it outlives the writer; then it is at its end. */
	CALL(write, fds[1], "last", 4L);
	CALL(close, fds[1]);
	CALL(read, fds[0], buffer, sizeof(buffer));
	CALL(read, fds[0], buffer, sizeof(buffer));
	CALL(read, fds[0], buffer, sizeof(buffer));
	CALL(close, fds[0]);
	return report_status();
}
