/* Does the library's posix_spawn(3) start a program with the attributes asked for? */
#include "process.h"
#include <spawn.h>

static void show_spawned(const char *what, const char *path, posix_spawnattr_t *attributes,
			 posix_spawn_file_actions_t *actions)
{
	char *argv[] = { "again", (char *)what, NULL }, *envp[] = { NULL };
	pid_t child = -1;
	int error = posix_spawn(&child, path, actions, attributes, argv, envp);

	if (error)
		say("%s: %s\n", what, strerrorname_np(error));
	else
		reap(what, child);
}

int main(int argc, char **argv)
{
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
	sigset_t set;

	if (strcmp(argv[0], "again") == 0) {
		struct sigaction action;

		(void)argc;
		sigaction(SIGTERM, NULL, &action);
		say("%s: leader of a group %d, SIGUSR1 blocked %d, SIGTERM %s, descriptor 50 %s\n",
		    argv[1], getpgrp() == getpid(), is_blocked(SIGUSR1),
		    action.sa_handler == SIG_IGN ? "ignored" : "default",
		    fcntl(50, F_GETFD) < 0 ? "closed" : "open");
		return 3;
	}
	show_spawned("plain", "/proc/self/exe", NULL, NULL);
	show_spawned("not there", "/none", NULL, NULL);
	show_spawned("directory", "/", NULL, NULL);
	set_action(SIGTERM, SIG_IGN, 0);
	block(SIGUSR1);
	show_spawned("inherited", "/proc/self/exe", NULL, NULL);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGTERM);
	posix_spawnattr_setsigdefault(&attributes, &set);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 50, "/dev/null", O_RDONLY, 0);
	show_spawned("attributes", "/proc/self/exe", &attributes, &actions);
	posix_spawn_file_actions_addopen(&actions, 51, "/none", O_RDONLY, 0);
	show_spawned("file not there", "/proc/self/exe", &attributes, &actions);
	SHOW(is_blocked(SIGUSR1));
	CALL(wait4, -1, NULL, 0, NULL);
	return report_status();
}
