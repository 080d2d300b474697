/* Can a process execute a program twenty times over, and is it the same process? */
#include "process.h"

int main(int argc, char **argv)
{
	char number[16], pid[16];

	if (argc == 1) {
		pid_t child = spawn();

		if (child) {
			reap("child", child);
			return report_status();
		}
		snprintf(pid, sizeof(pid), "%d", getpid());
		CALL(execve, "/proc/self/exe", ((char *[]){ "again", "20", pid, NULL }), NULL);
		_exit(127);
	}
	if (atoi(argv[2]) != getpid())
		return 126;
	if (atoi(argv[1]) == 0)
		return 20;
	snprintf(number, sizeof(number), "%d", atoi(argv[1]) - 1);
	execve("/proc/self/exe", (char *[]){ "again", number, argv[2], NULL }, NULL);
	return 127;
}
