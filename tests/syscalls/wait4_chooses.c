/* Which of several children that have ended does wait4(2) take? */
#include "process.h"

#define COUNT 6

static pid_t child[COUNT];

static const char *who(pid_t pid)
{
	static char name[8];

	for (int i = 0; i < COUNT; i++) {
		if (child[i] == pid) {
			snprintf(name, sizeof(name), "%d", i);
			return name;
		}
	}
	return "nobody's";
}

int main(void)
{
	volatile int *step = share_pages(1);

	/* They end in reverse order. */
	for (int i = 0; i < COUNT; i++) {
		child[i] = spawn();
		if (!child[i]) {
			wait_for(step, i);
			_exit(i + 10);
		}
	}
	for (int i = COUNT - 1; i >= 0; i--) {
		*step = i;
		await(child[i], WEXITED);
	}
	reap("the one asked for", child[3]);
	for (int i = 0; i < COUNT - 1; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		/* The oldest child first, not the first to end. */
		say("child %s\n", who(pid));
		show_wait_status("any", status);
	}
	CALL(wait4, -1, NULL, 0, NULL);
	return report_status();
}
