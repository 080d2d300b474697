/* What of a process stays when it executes another program? */
#include "process.h"

static struct {
	pid_t pid, parent, group, session;
} *told;

static void show_process(const char *who)
{
	char path[256];
	struct rlimit limit;
	int death = -1, reaper = -1;
	mode_t mask = umask(0);

	umask(mask);
	getrlimit(RLIMIT_NOFILE, &limit);
	prctl(PR_GET_PDEATHSIG, &death);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	say("%s: umask %03o, in %s, files %ld, death signal %d, subreaper %d, no new privileges %d\n",
	    who, mask, getcwd(path, sizeof(path)), (long)limit.rlim_cur, death, reaper,
	    prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L));
}

static void tell(void)
{
	told->pid = getpid();
	told->parent = getppid();
	told->group = getpgrp();
	told->session = getsid(0);
}

int main(int argc, char **argv)
{
	pid_t child;
	int fd;

	if (argc > 1) {
		/* The memory is the file's, which is open still. */
		told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
		if (told == MAP_FAILED)
			die("map the file");
		CHECK(told->pid == getpid());
		CHECK(told->parent == getppid());
		CHECK(told->group == getpgrp());
		CHECK(told->session == getsid(0));
		show_process("program");
		return report_status();
	}
	enter_scratch("execve_keeps_process");
	fd = make_file("file", "");
	ftruncate(fd, PAGE);
	told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	child = spawn();
	if (!child) {
		struct rlimit limit = { 100, 200 };
		char number[16];

		snprintf(number, sizeof(number), "%d", fd);
		chdir("/dev");
		umask(027);
		setrlimit(RLIMIT_NOFILE, &limit);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		prctl(PR_SET_CHILD_SUBREAPER, 1L);
		prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
		setpgid(0, 0);
		tell();
		show_process("child");
		CALL(execve, "/proc/self/exe", ((char *[]){ "again", number, NULL }), NULL);
		_exit(127);
	}
	reap("child", child);
	unlink("file");
	leave_scratch();
	return report_status();
}
