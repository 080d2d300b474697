"""Numbers of <fcntl.h> and <unistd.h>: flags of open() and of the calls whose name ends in "at".

See: Linux include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h; open(2), fcntl(2).
"""

from __future__ import annotations

from typing import Final

# ---- open()
O_ACCMODE: Final = 0o3
O_RDONLY: Final = 0o0
O_WRONLY: Final = 0o1
O_RDWR: Final = 0o2
O_CREAT: Final = 0o100
O_EXCL: Final = 0o200
O_NOCTTY: Final = 0o400
O_TRUNC: Final = 0o1000
O_APPEND: Final = 0o2000
O_NONBLOCK: Final = 0o4000
O_DSYNC: Final = 0o10000
FASYNC: Final = 0o20000
O_DIRECT: Final = 0o40000
O_LARGEFILE: Final = 0o100000
O_DIRECTORY: Final = 0o200000
O_NOFOLLOW: Final = 0o400000
O_NOATIME: Final = 0o1000000
O_CLOEXEC: Final = 0o2000000
__O_SYNC: Final = 0o4000000
O_SYNC: Final = __O_SYNC | O_DSYNC
O_PATH: Final = 0o10000000
__O_TMPFILE: Final = 0o20000000
O_TMPFILE: Final = __O_TMPFILE | O_DIRECTORY

VALID_OPEN_FLAGS: Final = (
    O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | FASYNC
    | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH
    | __O_TMPFILE
)
O_PATH_FLAGS: Final = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC
# What fcntl(F_SETFL) can change.
SETFL_MASK: Final = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME

# ---- at
AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_REMOVEDIR: Final = 0x200  # unlinkat()
AT_EACCESS: Final = 0x200  # faccessat()
AT_NO_AUTOMOUNT: Final = 0x800
AT_EMPTY_PATH: Final = 0x1000
AT_STATX_SYNC_TYPE: Final = 0x6000

# ---- fcntl()
F_DUPFD: Final = 0
F_GETFD: Final = 1
F_SETFD: Final = 2
F_GETFL: Final = 3
F_SETFL: Final = 4
F_DUPFD_QUERY: Final = 1027
F_CREATED_QUERY: Final = 1028
F_DUPFD_CLOEXEC: Final = 1030
F_SETPIPE_SZ: Final = 1031
F_GETPIPE_SZ: Final = 1032
FD_CLOEXEC: Final = 1

# ---- close_range()
CLOSE_RANGE_UNSHARE: Final = 1 << 1
CLOSE_RANGE_CLOEXEC: Final = 1 << 2

# ---- lseek()
SEEK_SET: Final = 0
SEEK_CUR: Final = 1
SEEK_END: Final = 2
SEEK_DATA: Final = 3
SEEK_HOLE: Final = 4
