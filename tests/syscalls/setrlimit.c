/* Which limits does setrlimit(2) accept, and do they limit? */
#include "report.h"
#include <sys/resource.h>

static void show_descriptors(void)
{
	struct rlimit limit, old;
	int fd = open("/dev/null", O_RDONLY);

	getrlimit(RLIMIT_NOFILE, &old);
	limit = (struct rlimit){ fd + 1, old.rlim_max };
	CALL(setrlimit, RLIMIT_NOFILE, &limit);
	SHOW(open("/dev/null", O_RDONLY));
	SHOW(dup(fd));
	SHOW(dup2(fd, fd + 1));
	SHOW(dup3(fd, fd + 1, 0));
	SHOW(fcntl(fd, F_DUPFD, fd + 1));
	CHECK(dup2(fd, fd) == fd);
	/* What is open above the limit stays open. */
	limit.rlim_cur = 0;
	CALL(setrlimit, RLIMIT_NOFILE, &limit);
	CHECK(fcntl(fd, F_GETFD) == 0);
	SHOW(open("/dev/null", O_RDONLY));
	CALL(setrlimit, RLIMIT_NOFILE, &old);
	CHECK(open("/dev/null", O_RDONLY) == fd + 1);
}

static void show_address_space(void)
{
	struct rlimit limit, old;

	getrlimit(RLIMIT_AS, &old);
	limit = (struct rlimit){ 64 << 20, old.rlim_max };
	CALL(setrlimit, RLIMIT_AS, &limit);
	CALL(mmap, NULL, 128L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	CALL_OK(mmap, NULL, 1L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	CALL(setrlimit, RLIMIT_AS, &old);
	CALL_OK(mmap, NULL, 128L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);

	/* Private memory that can be written counts as data. */
	getrlimit(RLIMIT_DATA, &old);
	limit = (struct rlimit){ 16 << 20, old.rlim_max };
	CALL(setrlimit, RLIMIT_DATA, &limit);
	CALL(mmap, NULL, 32L << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	CALL_OK(mmap, NULL, 32L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	CALL(setrlimit, RLIMIT_DATA, &old);
}

static void show_errors(void)
{
	struct rlimit limit, old;

	getrlimit(RLIMIT_STACK, &old);
	limit = (struct rlimit){ 2 << 20, 1 << 20 };
	CALL(setrlimit, RLIMIT_STACK, &limit);
	getrlimit(RLIMIT_STACK, &limit);
	CHECK(limit.rlim_cur == old.rlim_cur && limit.rlim_max == old.rlim_max);
	CALL(setrlimit, RLIM_NLIMITS, &old);
	CALL(setrlimit, -1, &old);
	CALL(setrlimit, RLIMIT_STACK, NULL);
	CALL(setrlimit, RLIM_NLIMITS, NULL);
}

int main(void)
{
	struct rlimit limit, old;

	getrlimit(RLIMIT_STACK, &old);
	limit = (struct rlimit){ 1 << 20, old.rlim_max };
	CALL(setrlimit, RLIMIT_STACK, &limit);
	getrlimit(RLIMIT_STACK, &limit);
	SHOW(limit.rlim_cur);
	CHECK(limit.rlim_max == old.rlim_max);
	CALL(setrlimit, RLIMIT_STACK, &old);

	show_descriptors();
	show_address_space();
	show_errors();
	return report_status();
}
