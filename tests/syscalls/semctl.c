/* What does semctl(2) say about a set, change and refuse, in which order? */
#include "semaphores.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

#define BAD ((void *)8)

static int id;

static void show_values_by_command(void)
{
	unsigned short values[3] = {7, 8, 32767};

	CALL(semctl, id, 0, GETVAL, 0L);
	CALL(semctl, id, 2, GETVAL, 0L);
	CALL(semctl, id, 3, GETVAL, 0L);
	CALL(semctl, id, -1, GETVAL, 0L);
	CALL(semctl, id, 0, GETPID, 0L);
	CALL(semctl, id, 0, GETNCNT, 0L);
	CALL(semctl, id, 0, GETZCNT, 0L);
	CALL(semctl, id, 3, GETPID, 0L);
	CALL(semctl, id, 3, GETNCNT, 0L);
	CALL(semctl, id, -1, GETZCNT, 0L);

	CALL(semctl, id, 1, SETVAL, 5L);
	CALL(semctl, id, 1, GETVAL, 0L);
	CHECK(semctl(id, 1, GETPID) == getpid());
	CALL(semctl, id, 0, GETPID, 0L);
	CALL(semctl, id, 1, SETVAL, 32767L);
	CALL(semctl, id, 1, SETVAL, 32768L);
	CALL(semctl, id, 1, SETVAL, -1L);
	CALL(semctl, id, 3, SETVAL, -1L);
	CALL(semctl, id, 3, SETVAL, 1L);
	CALL(semctl, id, -1, SETVAL, 1L);
	CALL(semctl, id ^ 1 << 20, 0, SETVAL, 1L);
	CALL(semctl, id ^ 1 << 20, 0, SETVAL, -1L);
	/* An int in the union: the upper half of the word does not count. */
	CALL(semctl, id, 1, SETVAL, 0x1234567800000003L);
	CALL(semctl, id, 1, GETVAL, 0L);

	/* The number of the semaphore does not count here. */
	CALL(semctl, id, 99, SETALL, values);
	CALL(semctl, id, -1, GETALL, values);
	show_values("all", id);
	values[1] = 32768;
	CALL(semctl, id, 0, SETALL, values);
	values[1] = 65535;
	CALL(semctl, id, 0, SETALL, values);
	show_values("as before", id);
	CHECK(semctl(id, 0, GETPID) == getpid());
	CALL(semctl, id, 0, SETALL, BAD);
	CALL(semctl, id, 0, GETALL, BAD);
	CALL(semctl, id ^ 1 << 20, 0, GETALL, BAD);
	CALL(semctl, id ^ 1 << 20, 0, SETALL, BAD);
}

static void show_status_of_set(void)
{
	struct semid_ds status, other;
	int result;

	memset(&status, 0xaa, sizeof(status));
	CALL(semctl, id, 99, IPC_STAT, &status);
	SHOW(status.sem_nsems);
	SHOW(status.sem_perm.__key);
	CHECK(status.sem_ctime <= seconds_now());
	say("mode %o\n", status.sem_perm.mode);
	/* The rest of the structure is zeros. */
	SHOW(status.sem_perm.__pad2);
	SHOW(status.sem_perm.__glibc_reserved1);
	SHOW(status.sem_perm.__glibc_reserved2);
	SHOW(status.__glibc_reserved3);
	SHOW(status.__glibc_reserved4);
	CALL(semctl, id, 0, IPC_STAT, BAD);
	CALL(semctl, id, 0, IPC_STAT, NULL);
	CALL(semctl, id ^ 1 << 20, 0, IPC_STAT, &status);
	CALL(semctl, id ^ 1 << 20, 0, IPC_STAT, BAD);

	/* By index, whatever the sequence number. */
	result = semctl(id & 0x7fff, 0, SEM_STAT, &other);
	CHECK(result == id);
	CHECK(!memcmp(&status, &other, sizeof(status)));
	result = semctl(id ^ 1 << 20, 0, SEM_STAT, &other);
	CHECK(result == id);
	memset(&other, 0, sizeof(other));
	result = semctl(id & 0x7fff, 0, SEM_STAT_ANY, &other);
	CHECK(result == id);
	CHECK(!memcmp(&status, &other, sizeof(status)));
	CALL(semctl, id & 0x7fff, 0, SEM_STAT, BAD);
	CALL(semctl, 0x7fff, 0, SEM_STAT, &other);
	CALL(semctl, 0x7fff, 0, SEM_STAT_ANY, BAD);
}

static void show_changes(void)
{
	struct semid_ds status = set_status(id), changed;
	time_t before = seconds_now();

	status.sem_perm.mode = 0xfffff000 | 0444;
	status.sem_perm.uid = 1000;
	status.sem_perm.gid = 100;
	status.sem_perm.cuid = 5;
	status.sem_perm.cgid = 6;
	status.sem_nsems = 1;
	status.sem_otime = 7;
	status.sem_ctime = 8;
	status.sem_perm.__key = 9;
	CALL(semctl, id, 99, IPC_SET, &status);
	changed = set_status(id);
	say("mode %o, user %u, group %u\n", changed.sem_perm.mode,
	    changed.sem_perm.uid, changed.sem_perm.gid);
	CHECK(changed.sem_perm.cuid == geteuid());
	CHECK(changed.sem_perm.cgid == getegid());
	SHOW(changed.sem_nsems);
	SHOW(changed.sem_otime);
	SHOW(changed.sem_perm.__key);
	CHECK(changed.sem_ctime >= before && changed.sem_ctime <= seconds_now());
	/* Root may all the same. */
	SHOW(operate(id, 0, 1, 0));
	SHOW(operate(id, 0, -1, 0));

	status.sem_perm.uid = -1;
	CALL(semctl, id, 0, IPC_SET, &status);
	status.sem_perm.uid = 0;
	status.sem_perm.gid = -1;
	CALL(semctl, id, 0, IPC_SET, &status);
	CALL(semctl, id, 0, IPC_SET, BAD);
	CALL(semctl, id ^ 1 << 20, 0, IPC_SET, BAD);
	CALL(semctl, id ^ 1 << 20, 0, IPC_SET, &status);
	CALL(semctl, -1, 0, IPC_SET, BAD);
	say("mode %o\n", set_status(id).sem_perm.mode);
}

static void show_limits(void)
{
	struct seminfo info;
	int highest, used;

	memset(&info, 0xaa, sizeof(info));
	highest = semctl(0, 0, IPC_INFO, &info);
	CHECK(highest >= (id & 0x7fff));
	CHECK(info.semmni > 0 && info.semmns > 0);
	CHECK(info.semmsl > 0 && info.semopm > 0);
	SHOW(info.semvmx);
	SHOW(info.semaem);
	SHOW(info.semusz);
	SHOW(info.semmap);
	SHOW(info.semmnu);
	SHOW(info.semume);
	CHECK(semctl(5, -1, SEM_INFO, &info) >= (id & 0x7fff));
	CHECK(info.semusz >= 1);
	used = info.semaem;
	CHECK(used >= 3);
	SHOW(info.semvmx);
	SHOW(info.semmap);
	CALL(semctl, 0, 0, IPC_INFO, BAD);
	CALL(semctl, 0, 0, SEM_INFO, NULL);
	CALL(semctl, -1, 0, IPC_INFO, &info);
}

static void show_unknown(void)
{
	static const int commands[] = {4, 5, 10, 21, 100, 0x100, 0x102, 0x10c, -1};

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		int command = commands[i];

		say("%d\n", command);
		CALL(semctl, id, 0, command, BAD);
		CALL(semctl, id ^ 1 << 20, 0, command, BAD);
	}
}

static void show_removal(void)
{
	CALL(semctl, -1, 0, IPC_RMID, 0L);
	CALL(semctl, id ^ 1 << 20, 0, IPC_RMID, 0L);
	CALL(semctl, id, 99, IPC_RMID, BAD);
	CALL(semctl, id, 0, IPC_RMID, 0L);
	CALL(semctl, id, 0, GETVAL, 0L);
	CALL(semctl, id, 0, SETVAL, 1L);
	CALL(semctl, id, 0, IPC_STAT, BAD);
	CALL(semctl, id, 0, GETALL, BAD);
}

int main(void)
{
	id = make_set(3);
	show_values_by_command();
	show_status_of_set();
	show_changes();
	show_limits();
	show_unknown();
	show_removal();
	return report_status();
}
