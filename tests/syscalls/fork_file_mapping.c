/* Who sees what of a file that is mapped, privately and shared, on both sides of fork(2)? */
#include "process.h"

static char *map_file(int fd, int flags)
{
	char *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (address == MAP_FAILED)
		die("map a file");
	return address;
}

int main(void)
{
	char *own, *untouched, *common;
	volatile int *step = share_pages(1);
	pid_t child;
	int fd;

	enter_scratch("fork_file_mapping");
	fd = make_file("file", "0123456789");
	own = map_file(fd, MAP_PRIVATE);
	untouched = map_file(fd, MAP_PRIVATE);
	common = map_file(fd, MAP_SHARED);
	own[0] = 'p';
	child = spawn();
	if (!child) {
		own[1] = 'c';
		common[2] = 'C';
		say("child: %.10s %.10s\n", own, common);
		*step = 1;
		wait_for(step, 2);
		say("child: %.10s %.10s\n", own, common);
		_exit(0);
	}
	wait_for(step, 1);
	say("parent: %.10s %.10s %.10s\n", own, untouched, common);
	own[3] = 'p';
	common[4] = 'P';
	*step = 2;
	reap("child", child);
	say("parent: %.10s %.10s %.10s\n", own, untouched, common);
	show_content("file");
	unlink("file");
	leave_scratch();
	return report_status();
}
