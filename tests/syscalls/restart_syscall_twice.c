/*
 * What does restart_syscall(2) answer to who calls it himself, behind a sleep
 * that a stop has interrupted and that has ended since?
 */
#include "process.h"

int main(void)
{
	pid_t child = spawn();
	int status;

	if (!child) {
		SHOW(syscall(SYS_restart_syscall));
		pause_ms(40);
		SHOW(syscall(SYS_restart_syscall));
		SHOW(syscall(SYS_restart_syscall));
		_exit(0);
	}
	pause_ms(10);
	kill(child, SIGSTOP);
	waitpid(child, &status, WUNTRACED);
	pause_ms(80);
	kill(child, SIGCONT);
	reap("child", child);
	return report_status();
}
