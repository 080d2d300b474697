/*
 * Does semget(2) make and find sets of semaphores by their keys, with which
 * permissions, and what does it refuse?
 */
#include "semaphores.h"

/* A key that no other program uses. */
static key_t own_key(void)
{
	return 0x5e000000 | getpid();
}

static void show_new_set(void)
{
	time_t before = seconds_now();
	int id = CALL_OK(semget, IPC_PRIVATE, 3, IPC_CREAT | 0640);
	struct semid_ds status = set_status(id);

	SHOW(status.sem_nsems);
	SHOW(status.sem_otime);
	CHECK(status.sem_ctime >= before && status.sem_ctime <= seconds_now());
	SHOW(status.sem_perm.__key);
	say("mode %o\n", status.sem_perm.mode);
	CHECK(status.sem_perm.uid == geteuid());
	CHECK(status.sem_perm.gid == getegid());
	CHECK(status.sem_perm.cuid == geteuid());
	CHECK(status.sem_perm.cgid == getegid());
	/* A number is an index and, above 15 bits, a sequence number. */
	CHECK(id >> 15 == status.sem_perm.__seq);
	show_values("a new set", id);
	SHOW(semctl(id, 0, GETPID));
	remove_set(id);
}

static void show_keys(void)
{
	key_t key = own_key();
	int id, other;

	CALL(semget, key, 2, 0);
	CALL(semget, key, 2, IPC_EXCL | 0600);
	CALL(semget, key, 0, IPC_CREAT | 0600);
	id = CALL_OK(semget, key, 2, IPC_CREAT | IPC_EXCL | 0600);
	CHECK(set_status(id).sem_perm.__key == key);
	CHECK(semget(key, 2, 0) == id);
	CHECK(semget(key, 0, 0) == id);
	CHECK(semget(key, 1, IPC_CREAT) == id);
	CHECK(semget(key, 2, IPC_EXCL) == id);
	CHECK(semget(key, 2, 0777) == id);
	CALL(semget, key, 3, 0);
	CALL(semget, key, 2, IPC_CREAT | IPC_EXCL | 0600);
	CALL(semget, key, 3, IPC_CREAT | IPC_EXCL | 0600);
	CALL(semget, key, -1, 0);
	other = semget(key + (1 << 23), 1, IPC_CREAT | 0600);
	CHECK(other >= 0 && other != id);
	remove_set(other);
	CALL(semctl, id, 0, IPC_RMID, 0L);
	CALL(semget, key, 2, 0);
	/* A key may be negative. */
	id = semget(-key, 1, IPC_CREAT | 0600);
	CHECK(semget(-key, 1, 0) == id);
	remove_set(id);
}

static void show_private(void)
{
	int one = make_set(1), other = CALL_OK(semget, IPC_PRIVATE, 1, 0);

	/* It is never found, so it is made also without IPC_CREAT. */
	CHECK(one != other);
	say("mode %o\n", set_status(other).sem_perm.mode);
	remove_set(one);
	/* Its number is not given out again at once. */
	CALL(semctl, one, 0, GETVAL, 0L);
	one = CALL_OK(semget, IPC_PRIVATE, 1, IPC_CREAT | IPC_EXCL | 07777);
	say("mode %o\n", set_status(one).sem_perm.mode);
	remove_set(one);
	remove_set(other);
}

static void show_sizes(void)
{
	struct seminfo info;
	int id;

	if (semctl(0, 0, IPC_INFO, &info) < 0)
		die("ask for the limits");
	CALL(semget, IPC_PRIVATE, -1, IPC_CREAT | 0600);
	CALL(semget, IPC_PRIVATE, 0, IPC_CREAT | 0600);
	CALL(semget, IPC_PRIVATE, info.semmsl + 1, IPC_CREAT | 0600);
	CALL(semget, IPC_PRIVATE, 0x7fffffff, IPC_CREAT | 0600);
	id = CALL_OK(semget, IPC_PRIVATE, info.semmsl, IPC_CREAT | 0600);
	CHECK(set_status(id).sem_nsems == (unsigned long)info.semmsl);
	SHOW(operate(id, info.semmsl - 1, 5, 0));
	SHOW(value_of(id, info.semmsl - 1));
	SHOW(value_of(id, info.semmsl - 2));
	SHOW(operate(id, info.semmsl, 5, 0));
	remove_set(id);
}

int main(void)
{
	show_new_set();
	show_keys();
	show_private();
	show_sizes();
	return report_status();
}
