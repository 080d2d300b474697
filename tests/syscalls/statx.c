/* Which basic fields does statx(2) fill in, and what of its flags and mask is refused? */
#include "status.h"

static void show_statx(const char *name, const struct statx *status)
{
	say("%s: %s %05o", name, type_name(status->stx_mode),
	    status->stx_mode & 07777);
	if (S_ISREG(status->stx_mode))
		say(" size %llu links %u",
		    (unsigned long long)status->stx_size, status->stx_nlink);
	say("\n");
	CHECK((status->stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	CHECK(status->stx_blksize > 0 && status->stx_ino > 0);
}

int main(void)
{
	struct statx status;
	struct stat old;
	int file, directory;

	enter_scratch("statx");
	mkdir("directory", 0755);
	file = make_file("directory/file", "content");
	directory = open("directory", O_RDONLY);
	CALL(statx, AT_FDCWD, "directory/file", 0, STATX_BASIC_STATS, &status);
	show_statx("file", &status);
	fstat(file, &old);
	CHECK(status.stx_ino == old.st_ino);
	CHECK(status.stx_mtime.tv_sec == old.st_mtim.tv_sec);
	CHECK(status.stx_mtime.tv_nsec == old.st_mtim.tv_nsec);
	CHECK(status.stx_dev_major == major(old.st_dev));
	CHECK(status.stx_dev_minor == minor(old.st_dev));
	CHECK(status.stx_uid == geteuid());

	CALL(statx, directory, "file", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status);
	CALL(statx, file, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
	show_statx("file", &status);
	CALL(statx, AT_FDCWD, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
	show_statx(".", &status);
	/* More may be filled in than was asked for. */
	CALL(statx, directory, "file", 0, 0, &status);
	CALL(statx, directory, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &status);
	CHECK(status.stx_mask & STATX_SIZE);
	CALL(statx, directory, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &status);
	CALL(statx, AT_FDCWD, "/dev/zero", 0, STATX_BASIC_STATS, &status);
	say("%u:%u\n", status.stx_rdev_major, status.stx_rdev_minor);

	CALL(statx, directory, "file", AT_STATX_SYNC_TYPE, STATX_SIZE, &status);
	CALL(statx, directory, "file", AT_REMOVEDIR, STATX_SIZE, &status);
	CALL(statx, directory, "file", 0, STATX__RESERVED, &status);
	CALL(statx, directory, "missing", 0, STATX_SIZE, &status);
	CALL(statx, file, "file", 0, STATX_SIZE, &status);
	CALL(statx, -1, "file", 0, STATX_SIZE, &status);
	CALL(statx, file, "", 0, STATX_SIZE, &status);
	CALL(statx, directory, NULL, 0, STATX_SIZE, &status);
	CALL(statx, directory, "file", 0, STATX_SIZE, NULL);

	unlink("directory/file");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
