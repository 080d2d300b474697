/* Which IDs does each of the calls change, for root and for others? */
#include "process.h"

#define KEEP (-1L)

static void show_ids(void)
{
	unsigned user[3], group[3];

	syscall(SYS_getresuid, &user[0], &user[1], &user[2]);
	syscall(SYS_getresgid, &group[0], &group[1], &group[2]);
	say("  users %d %d %d fs %ld, groups %d %d %d fs %ld\n", user[0], user[1], user[2],
	    syscall(SYS_setfsuid, KEEP), group[0], group[1], group[2],
	    syscall(SYS_setfsgid, KEEP));
}

/* In a process of its own, with these IDs to begin with. */
#define TRY(real, effective, saved, call)                                                         \
	do {                                                                                      \
		pid_t child_ = spawn();                                                           \
                                                                                                  \
		if (!child_) {                                                                    \
			syscall(SYS_setresgid, (long)(real), (long)(effective), (long)(saved));   \
			syscall(SYS_setresuid, (long)(real), (long)(effective), (long)(saved));   \
			show("(" #real " " #effective " " #saved ") " #call, call);               \
			show_ids();                                                               \
			_exit(0);                                                                 \
		}                                                                                 \
		reap("it", child_);                                                               \
	} while (0)

int main(void)
{
	static const long numbers[] = { 0, 10, 20, 30, KEEP };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		long n = numbers[i];

		TRY(0, 0, 0, syscall(SYS_setuid, n));
		TRY(10, 20, 30, syscall(SYS_setuid, n));
		TRY(10, 20, 0, syscall(SYS_setuid, n));
		TRY(0, 0, 0, syscall(SYS_setgid, n));
		TRY(10, 20, 30, syscall(SYS_setgid, n));
		TRY(10, 20, 30, syscall(SYS_setfsuid, n));
		TRY(10, 20, 30, syscall(SYS_setfsgid, n));
		TRY(0, 0, 0, syscall(SYS_setfsuid, n));
		for (size_t j = 0; j < ARRAY_SIZE(numbers); j++) {
			long m = numbers[j];

			TRY(0, 0, 0, syscall(SYS_setreuid, n, m));
			TRY(10, 20, 30, syscall(SYS_setreuid, n, m));
			TRY(10, 20, 30, syscall(SYS_setregid, n, m));
			TRY(10, 20, 30, syscall(SYS_setresuid, n, m, 30L));
			TRY(10, 20, 30, syscall(SYS_setresgid, KEEP, n, m));
		}
	}
	/* What the process had before, its like may not look into any more. */
	CALL(prctl, PR_SET_PDEATHSIG, SIGUSR1);
	CALL(prctl, PR_GET_DUMPABLE);
	CALL(setresuid, KEEP, 10L, KEEP);
	CALL(prctl, PR_GET_DUMPABLE);
	CALL(getresuid, NULL, NULL, NULL);
	return report_status();
}
