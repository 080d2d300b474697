/* When is a core dumped: what do the status, the limit and the file say? */
#include "signals.h"

static void show_core(const char *what, int signal, long limit, int dumpable)
{
	struct rlimit core = { limit, RLIM_INFINITY };
	siginfo_t info = { 0 };
	struct stat file;
	pid_t child;

	say("%s\n", what);
	child = spawn();
	if (!child) {
		setrlimit(RLIMIT_CORE, &core);
		prctl(PR_SET_DUMPABLE, dumpable);
		if (signal == SIGSEGV)
			*(volatile int *)8 = 1;
		raise(signal);
		_exit(0);
	}
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	say("  %s\n", info.si_code == CLD_DUMPED ? "CLD_DUMPED"
		: info.si_code == CLD_KILLED ? "CLD_KILLED" : "another code");
	reap("  child", child);
	if (stat("core", &file)) {
		say("  no file\n");
		return;
	}
	say("  mode %o, %s\n", file.st_mode, file.st_size > 4096 ? "long" : "short");
	if (unlink("core"))
		say("  it stays\n");
}

int main(void)
{
	enter_scratch("core_dump");
	show_core("SIGSEGV", SIGSEGV, RLIM_INFINITY, 1);
	show_core("SIGQUIT", SIGQUIT, RLIM_INFINITY, 1);
	show_core("SIGABRT", SIGABRT, RLIM_INFINITY, 1);
	show_core("SIGXCPU", SIGXCPU, RLIM_INFINITY, 1);
	show_core("SIGSYS", SIGSYS, RLIM_INFINITY, 1);
	show_core("SIGTERM dumps none", SIGTERM, RLIM_INFINITY, 1);
	show_core("no limit to speak of", SIGABRT, 0, 1);
	show_core("less than a page", SIGABRT, 4095, 1);
	show_core("not dumpable", SIGABRT, RLIM_INFINITY, 0);
	/* One that is there already is replaced; a directory is not. */
	close(make_file("core", "old"));
	show_core("in place of another", SIGABRT, RLIM_INFINITY, 1);
	mkdir("core", 0755);
	show_core("a directory is in the way", SIGABRT, RLIM_INFINITY, 1);
	rmdir("core");
	leave_scratch();
	return report_status();
}
