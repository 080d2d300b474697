/* Print what is the same everywhere of a struct stat. */
#ifndef STATUS_H
#define STATUS_H

#include "report.h"
#include <sys/sysmacros.h>

static inline const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFCHR:
		return "character device";
	case S_IFLNK:
		return "symbolic link";
	default:
		return "other";
	}
}

/* Sizes and link counts of directories are the file system's own affair. */
static inline void show_status(const char *name, const struct stat *status)
{
	say("%s: %s", name, type_name(status->st_mode));
	if (S_ISCHR(status->st_mode))
		say(" %u:%u", major(status->st_rdev), minor(status->st_rdev));
	else
		say(" %05o", status->st_mode & 07777);
	if (S_ISREG(status->st_mode))
		say(" size %ld links %ld", (long)status->st_size,
		    (long)status->st_nlink);
	say("%s\n", status->st_uid == geteuid() ? " mine" : "");
	CHECK(status->st_blksize > 0);
}

#endif
