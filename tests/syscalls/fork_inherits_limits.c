/* Has a child its parent's resource limits, and a copy of its own? */
#include "process.h"

static void show_limit(const char *who)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	say("%s: files %ld of %ld\n", who, (long)limit.rlim_cur, (long)limit.rlim_max);
	getrlimit(RLIMIT_FSIZE, &limit);
	say("%s: file size %ld of %ld\n", who, (long)limit.rlim_cur, (long)limit.rlim_max);
}

int main(void)
{
	struct rlimit files = { 100, 200 }, size = { 10000, 20000 };
	pid_t child;

	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_FSIZE, &size);
	child = spawn();
	if (!child) {
		show_limit("child at first");
		files.rlim_cur = 50;
		size.rlim_max = 15000;
		CALL(setrlimit, RLIMIT_NOFILE, &files);
		CALL(setrlimit, RLIMIT_FSIZE, &size);
		show_limit("child");
		_exit(0);
	}
	reap("child", child);
	show_limit("parent");
	return report_status();
}
