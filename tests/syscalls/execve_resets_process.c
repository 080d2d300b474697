/* What of a process is new when it executes another program? */
#include "process.h"

static int written = 1;
static char stack[4 * PAGE];

int main(int argc, char **argv)
{
	char name[16];
	char *place = (char *)0x600000000000;
	stack_t now;
	pid_t child;

	if (argc > 1) {
		SHOW(written);
		show_access("map", place, 1);
		sigaltstack(NULL, &now);
		SHOW(now.ss_flags == SS_DISABLE);
		prctl(PR_GET_NAME, name);
		say("name %s\n", name);
		SHOW(prctl(PR_GET_DUMPABLE));
		return report_status();
	}
	child = spawn();
	if (!child) {
		written = 2;
		mmap(place, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		show_access("map", place, 1);
		now = (stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) };
		sigaltstack(&now, NULL);
		prctl(PR_SET_NAME, "before");
		prctl(PR_SET_DUMPABLE, 0L);
		CALL(execve, "/proc/self/exe", ((char *[]){ argv[0], "again", NULL }), NULL);
		_exit(127);
	}
	reap("child", child);
	return report_status();
}
