/* What does a process share that was cloned with CLONE_VM alone? */
#include "process.h"

static volatile int word, step;
static int fd;

static int child_main(void *argument)
{
	CHECK(getpid() != *(pid_t *)argument);
	CHECK(getppid() == *(pid_t *)argument);
	word = 1;
	/* Its own: descriptors, directory, umask, dispositions. */
	close(fd);
	chdir("/");
	umask(077);
	syscall(SYS_brk, syscall(SYS_brk, 0L) + PAGE);
	step = 1;
	wait_for(&step, 2);
	SHOW(word);
	return 3;
}

int main(void)
{
	pid_t parent = getpid(), child;
	char path[256];
	long end;

	enter_scratch("clone_vm");
	fd = make_file("file", "x");
	end = syscall(SYS_brk, 0L);
	child = start(child_main, CLONE_VM | SIGCHLD, &parent);
	wait_for(&step, 1);
	SHOW(word);
	word = 2;
	CHECK(syscall(SYS_brk, 0L) == end + PAGE);
	CALL(fcntl, fd, F_GETFD);
	CHECK(!strcmp(getcwd(path, sizeof(path)), scratch_directory));
	say("umask %03o\n", umask(022));
	step = 2;
	reap("child", child);
	unlink("file");
	leave_scratch();
	return report_status();
}
