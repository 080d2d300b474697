/* Which part of a status does the parent get, however the child says it? */
#include "process.h"

static void child_exits(const char *how, int status)
{
	char line[64];
	pid_t child = spawn();

	if (!child) {
		if (!strcmp(how, "exit"))
			syscall(SYS_exit, status);
		else if (!strcmp(how, "exit_group"))
			syscall(SYS_exit_group, status);
		else
			exit(status);
	}
	snprintf(line, sizeof(line), "%s(%#x)", how, status);
	reap(line, child);
}

int main(void)
{
	static const int status[] = { 0, 1, 99, 127, 128, 255, 256, 0x1232a, -1, 0x7f, 0x80000000 };
	int word = -1;
	pid_t child;

	for (unsigned i = 0; i < ARRAY_SIZE(status); i++) {
		child_exits("exit", status[i]);
		child_exits("exit_group", status[i]);
		child_exits("library's exit", status[i]);
	}
	child = spawn();
	if (!child)
		return 0x123;
	CHECK(syscall(SYS_wait4, child, &word, 0, NULL) == child);
	say("returned 0x123: %#x\n", word);
	child = spawn();
	if (!child)
		_exit(3);
	/* Nobody need know. */
	CHECK(syscall(SYS_wait4, child, NULL, 0, NULL) == child);
	return report_status();
}
