"""Calls on files: opening, status, reading and writing, names, directories.

See: open(2), stat(2), statx(2), readv(2), getdents(2), statfs(2).
"""

from __future__ import annotations

import struct
from typing import Final

from ringlet.strace.arguments import (
    buffer_filled,
    buffer_of,
    custom,
    elements,
    indirect,
    vector,
)
from ringlet.strace.call import Also, At, Call, Choice, Format, Out, Signature
from ringlet.strace.names import Flags, Names, joined
from ringlet.strace.text import (
    PATH_MAX,
    address,
    buffer,
    device,
    hexadecimal,
    int_,
    long_,
    mode,
    path,
    signed32,
    uid,
    uint,
    ulong,
)

_MAKES: Final = 0o20000100  # O_CREAT, and the bit of O_TMPFILE that is its own
_O_ACCMODE: Final = 3
_AT_FDCWD: Final = -100

ACCESS_MODES: Final = Names("", "O_RDONLY=0 O_WRONLY=1 O_RDWR=2 O_ACCMODE=3")
OPEN_FLAGS: Final = Flags("O_???", """
    O_CREAT=0o100 O_EXCL=0o200 O_NOCTTY=0o400 O_TRUNC=0o1000 O_APPEND=0o2000 O_NONBLOCK=0o4000
    O_SYNC=0o4010000 __O_SYNC=0o4000000 O_DSYNC=0o10000 O_DIRECT=0o40000 O_LARGEFILE=0o100000
    O_NOFOLLOW=0o400000 O_NOATIME=0o1000000 O_CLOEXEC=0o2000000 O_PATH=0o10000000
    O_TMPFILE=0o20200000 __O_TMPFILE=0o20000000 O_DIRECTORY=0o200000 FASYNC=0o20000""")
FILE_TYPES: Final = Names("", """
    S_IFIFO=0o010000 S_IFCHR=0o020000 S_IFDIR=0o040000 S_IFBLK=0o060000 S_IFREG=0o100000
    S_IFLNK=0o120000 S_IFSOCK=0o140000""")
AT_FLAGS: Final = Flags("AT_???", """
    AT_SYMLINK_NOFOLLOW=0x100 AT_REMOVEDIR=0x200 AT_SYMLINK_FOLLOW=0x400 AT_NO_AUTOMOUNT=0x800
    AT_EMPTY_PATH=0x1000 AT_RECURSIVE=0x8000""")
_FACCESSAT_FLAGS: Final = Flags("AT_???", """
    AT_SYMLINK_NOFOLLOW=0x100 AT_EACCESS=0x200 AT_EMPTY_PATH=0x1000""")
_ACCESS: Final = Flags("?_OK", "F_OK=0 R_OK=4 W_OK=2 X_OK=1")
_WHENCE: Final = Names("SEEK_???", "SEEK_SET=0 SEEK_CUR=1 SEEK_END=2 SEEK_DATA=3 SEEK_HOLE=4")
_RESOLVE: Final = Flags("RESOLVE_???", """
    RESOLVE_NO_XDEV=0x1 RESOLVE_NO_MAGICLINKS=0x2 RESOLVE_NO_SYMLINKS=0x4 RESOLVE_BENEATH=0x8
    RESOLVE_IN_ROOT=0x10 RESOLVE_CACHED=0x20""", bits=64)
_STATX_SYNC: Final = Names("", """
    AT_STATX_SYNC_AS_STAT=0 AT_STATX_FORCE_SYNC=0x2000 AT_STATX_DONT_SYNC=0x4000""")
_STATX_MASK: Final = Flags("STATX_???", """
    STATX_ALL=0xfff STATX_BASIC_STATS=0x7ff STATX_TYPE=0x1 STATX_MODE=0x2 STATX_NLINK=0x4
    STATX_UID=0x8 STATX_GID=0x10 STATX_ATIME=0x20 STATX_MTIME=0x40 STATX_CTIME=0x80
    STATX_INO=0x100 STATX_SIZE=0x200 STATX_BLOCKS=0x400 STATX_BTIME=0x800 STATX_MNT_ID=0x1000
    STATX_DIOALIGN=0x2000""")
_STATX_ATTRIBUTES: Final = Flags("STATX_ATTR_???", """
    STATX_ATTR_COMPRESSED=0x4 STATX_ATTR_IMMUTABLE=0x10 STATX_ATTR_APPEND=0x20
    STATX_ATTR_NODUMP=0x40 STATX_ATTR_ENCRYPTED=0x800 STATX_ATTR_AUTOMOUNT=0x1000
    STATX_ATTR_MOUNT_ROOT=0x2000 STATX_ATTR_VERITY=0x100000 STATX_ATTR_DAX=0x200000""", bits=64)
_RENAME: Final = Flags("RENAME_??", "RENAME_NOREPLACE=1 RENAME_EXCHANGE=2 RENAME_WHITEOUT=4")
_FALLOCATE: Final = Flags("FALLOC_FL_???", """
    FALLOC_FL_KEEP_SIZE=0x1 FALLOC_FL_PUNCH_HOLE=0x2 FALLOC_FL_NO_HIDE_STALE=0x4
    FALLOC_FL_COLLAPSE_RANGE=0x8 FALLOC_FL_ZERO_RANGE=0x10 FALLOC_FL_INSERT_RANGE=0x20
    FALLOC_FL_UNSHARE_RANGE=0x40""")
_ADVICE: Final = Names("POSIX_FADV_???", """
    POSIX_FADV_NORMAL=0 POSIX_FADV_RANDOM=1 POSIX_FADV_SEQUENTIAL=2 POSIX_FADV_WILLNEED=3
    POSIX_FADV_DONTNEED=4 POSIX_FADV_NOREUSE=5""")
_FLOCK: Final = Flags("LOCK_???", """
    LOCK_SH=1 LOCK_EX=2 LOCK_NB=4 LOCK_UN=8 LOCK_MAND=32 LOCK_RW=192 LOCK_READ=64
    LOCK_WRITE=128""")
_RWF: Final = Flags("RWF_???", """
    RWF_HIPRI=0x1 RWF_DSYNC=0x2 RWF_SYNC=0x4 RWF_NOWAIT=0x8 RWF_APPEND=0x10""")
_SPLICE: Final = Flags("SPLICE_F_???", """
    SPLICE_F_MOVE=1 SPLICE_F_NONBLOCK=2 SPLICE_F_MORE=4 SPLICE_F_GIFT=8""")
_SYNC_FILE_RANGE: Final = Flags("SYNC_FILE_RANGE_???", """
    SYNC_FILE_RANGE_WAIT_BEFORE=1 SYNC_FILE_RANGE_WRITE=2 SYNC_FILE_RANGE_WAIT_AFTER=4""")
_CLOSE_RANGE: Final = Flags("CLOSE_RANGE_???", "CLOSE_RANGE_UNSHARE=2 CLOSE_RANGE_CLOEXEC=4")
_MAGIC: Final = Names("", """
    CGROUP2_SUPER_MAGIC=0x63677270 CGROUP_SUPER_MAGIC=0x27e0eb DEBUGFS_MAGIC=0x64626720
    DEVPTS_SUPER_MAGIC=0x1cd1 EXT2_SUPER_MAGIC=0xef53 HUGETLBFS_MAGIC=0x958458f6
    MQUEUE_MAGIC=0x19800202 MSDOS_SUPER_MAGIC=0x4d44 NFS_SUPER_MAGIC=0x6969
    OVERLAYFS_SUPER_MAGIC=0x794c7630 PIPEFS_MAGIC=0x50495045 PROC_SUPER_MAGIC=0x9fa0
    RAMFS_MAGIC=0x858458f6 SOCKFS_MAGIC=0x534f434b SQUASHFS_MAGIC=0x73717368
    SYSFS_MAGIC=0x62656572 TMPFS_MAGIC=0x1021994 TRACEFS_MAGIC=0x74726163
    XFS_SUPER_MAGIC=0x58465342 BTRFS_SUPER_MAGIC=0x9123683e""", bits=64)
_MOUNT: Final = Flags("ST_???", """
    ST_VALID=0x20 ST_RDONLY=0x1 ST_NOSUID=0x2 ST_NODEV=0x4 ST_NOEXEC=0x8 ST_SYNCHRONOUS=0x10
    ST_MANDLOCK=0x40 ST_NOATIME=0x400 ST_NODIRATIME=0x800 ST_RELATIME=0x1000
    ST_NOSYMFOLLOW=0x2000""", bits=64)
_ST_VALID: Final = 0x20


# ---------------------------------------------------------------------------- open

def fd_at(call: Call, value: int) -> str:
    """A descriptor of a directory, for the calls whose names end in ``at``."""
    number = signed32(value)
    return "AT_FDCWD" if number == _AT_FDCWD else str(number)


def open_flags(call: Call, value: int) -> str:
    """``flags`` of open(2): the access mode and the flags proper."""
    flags = value & 0xFFFF_FFFF
    rest = joined(*OPEN_FLAGS.split(flags & ~_O_ACCMODE))
    access = ACCESS_MODES(call, flags & _O_ACCMODE)
    return f"{access}|{rest}" if rest else access


def _opens(flags_at: int, *first: Format) -> Choice:
    """``mode`` is an argument only if the flags say that a file is to be made."""
    without = Signature(*first, open_flags)
    with_mode = Signature(*first, open_flags, mode)

    def of(call: Call) -> Signature:
        flags = call.arguments[flags_at]
        creates = flags & _MAKES
        return with_mode if creates else without

    return Choice(of)


def _open_how(call: Call, va: int) -> str:
    size = call.arguments[3]
    data = call.memory.read(va, 24) if va and size >= 24 else None
    if data is None:
        return address(call, va)
    flags, permissions, resolve = struct.unpack("<3Q", data)
    access = ACCESS_MODES(call, flags & _O_ACCMODE)
    rest = joined(*OPEN_FLAGS.split(flags & ~_O_ACCMODE))
    text = f"{{flags={access}|{rest}" if rest else f"{{flags={access}"
    if permissions or flags & _MAKES:
        text += f", mode=0{permissions:02o}"
    return f"{text}, resolve={_RESOLVE(call, resolve)}}}"


# ---------------------------------------------------------------------------- status

def file_mode(call: Call, value: int) -> str:
    """``st_mode``: type, special bits, permissions."""
    kind = FILE_TYPES.get(value & 0o170000)
    if kind is None and value & 0o170000:
        return f"0{value:o}"
    names = [kind] if kind else []
    for bit, name in ((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX")):
        if value & bit:
            names.append(name)
    return "|".join([*names, f"0{value & ~0o177000:02o}"])


_STAT: Final = struct.Struct("<3Q2I2I2Q")  # up to st_size


def _stat(call: Call, data: bytes) -> str:
    _, _, _, permissions, _, _, _, rdev, size = _STAT.unpack(data[: _STAT.size])
    if permissions & 0o170000 in (0o020000, 0o060000):
        return f"{{st_mode={file_mode(call, permissions)}, st_rdev={device(call, rdev)}, ...}}"
    return f"{{st_mode={file_mode(call, permissions)}, st_size={size}, ...}}"


stat: Final = custom(144, _stat)


def _statx_flags(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    both = value & 0x6000
    sync = _STATX_SYNC.get(both) or "AT_STATX_FORCE_SYNC|AT_STATX_DONT_SYNC"
    rest = joined(*AT_FLAGS.split(value & ~0x6000))
    return f"{sync}|{rest}" if rest else sync


def _statx(call: Call, data: bytes) -> str:
    mask, _, attributes = struct.unpack_from("<IIQ", data)
    permissions, size = struct.unpack_from("<28xH10xQ", data)
    text = (f"{{stx_mask={_STATX_MASK(call, mask)}, "
            f"stx_attributes={_STATX_ATTRIBUTES(call, attributes)}")
    if mask & 0x3:  # STATX_TYPE, STATX_MODE
        text += f", stx_mode={file_mode(call, permissions)}"
    if mask & 0x200:  # STATX_SIZE
        text += f", stx_size={size}"
    return text + ", ...}"


def _statfs(call: Call, data: bytes) -> str:
    (kind, bsize, blocks, bfree, bavail, files, ffree, id0, id1, namelen, frsize,
     flags) = struct.unpack_from("<7Q2I3Q", data)
    text = (f"{{f_type={_MAGIC(call, kind)}, f_bsize={bsize}, f_blocks={blocks}, f_bfree={bfree}, "
            f"f_bavail={bavail}, f_files={files}, f_ffree={ffree}, "
            f"f_fsid={{val=[{hexadecimal(call, id0)}, {hexadecimal(call, id1)}]}}, "
            f"f_namelen={namelen}, f_frsize={frsize}")
    return text + (f", f_flags={_MOUNT(call, flags)}}}" if flags & _ST_VALID else "}")


statfs: Final = custom(120, _statfs)


def _mknod(*first: Format) -> Choice:
    """``dev`` is an argument only of a device."""
    plain, node = Signature(*first, _node_mode), Signature(*first, _node_mode, device32)
    index = len(first)

    def of(call: Call) -> Signature:
        return node if call.arguments[index] & 0o170000 in (0o020000, 0o060000) else plain

    return Choice(of)


def _node_mode(call: Call, value: int) -> str:
    return file_mode(call, value & 0xFFFF)


def device32(call: Call, value: int) -> str:
    """``dev_t`` in the 32 bits of an ``unsigned int``."""
    return device(call, value & 0xFFFF_FFFF)


# ---------------------------------------------------------------------------- read, write

def _iovec(call: Call, va: int) -> str:
    """``struct iovec``: what writev(2) is to write, or what readv(2) has read.

    The array was the program's before the call, so it is written even if the call has failed.
    """
    left = call.result

    def item(call: Call, data: bytes) -> str:
        nonlocal left
        base, size = struct.unpack("<2Q", data)
        if call.failed:
            content = address(call, base)
        else:
            shown = min(size, left) if call.ended else size
            left -= shown
            content = buffer(call, base, shown)
        return f"{{iov_base={content}, iov_len={size}}}"

    return elements(call, va, call.arguments[2], 16, item, given=True)


def _offset_after(call: Call, va: int) -> str:
    """Where sendfile(2) has left ``offset``."""
    data = call.fetch(va, 8) if call.result else None
    return "" if data is None else f" => [{int.from_bytes(data, 'little')}]"


_offset: Final = indirect(long_, 8)


def _string_filled(call: Call, va: int) -> str:
    """The string of getcwd(2): as many bytes as it returned, with the NUL."""
    return address(call, va) if call.failed else path(
        call, va, call.result - 1 if call.result else PATH_MAX - 1)


# ---------------------------------------------------------------------------- directories

_DIRENT_HEADER: Final = 19  # d_ino, d_off, d_reclen, d_type


def _entries(call: Call, va: int) -> str:
    """How many entries getdents64(2) has stored."""
    if call.failed:
        return address(call, va)
    data = call.memory.read(va, call.result) or b""
    count = at = 0
    while at + _DIRENT_HEADER <= len(data):
        size = int.from_bytes(data[at + 16 : at + 18], "little")
        if size < _DIRENT_HEADER or at + size > len(data):
            break
        at += size
        count += 1
    more = "+" if at < call.result else ""
    return f"{address(call, va)} /* {count}{more} entries */"


# ---------------------------------------------------------------------------- results

def octal(call: Call, value: int) -> str:
    """What umask(2) returns."""
    return f"0{value:02o}"


_fds: Final = vector(int_, 2)

CALLS: Final[dict[str, Signature | Choice]] = {
    "read": Signature(int_, Out(buffer_filled), ulong),
    "write": Signature(int_, buffer_of(2), ulong),
    "open": _opens(1, path),
    "close": Signature(int_),
    "stat": Signature(path, Out(stat)),
    "fstat": Signature(int_, Out(stat)),
    "lstat": Signature(path, Out(stat)),
    "lseek": Signature(int_, long_, _WHENCE),
    "pread64": Signature(int_, Out(buffer_filled), ulong, long_),
    "pwrite64": Signature(int_, buffer_of(2), ulong, long_),
    "readv": Signature(int_, Out(_iovec), ulong),
    "writev": Signature(int_, _iovec, ulong),
    "access": Signature(path, _ACCESS),
    "pipe": Signature(Out(_fds)),
    "dup": Signature(int_),
    "dup2": Signature(int_, int_),
    "sendfile": Signature(int_, int_, indirect(ulong, 8), Also(2, _offset_after), Out(ulong)),
    "flock": Signature(int_, _FLOCK),
    "fsync": Signature(int_),
    "fdatasync": Signature(int_),
    "truncate": Signature(path, ulong),
    "ftruncate": Signature(int_, ulong),
    "getdents": Signature(int_, Out(_entries), uint),
    "getcwd": Signature(Out(_string_filled), ulong),
    "chdir": Signature(path),
    "fchdir": Signature(int_),
    "rename": Signature(path, path),
    "mkdir": Signature(path, mode),
    "rmdir": Signature(path),
    "creat": Signature(path, mode),
    "link": Signature(path, path),
    "unlink": Signature(path),
    "symlink": Signature(path, path),
    "readlink": Signature(path, Out(buffer_filled), ulong),
    "chmod": Signature(path, mode),
    "fchmod": Signature(int_, mode),
    "chown": Signature(path, uid, uid),
    "fchown": Signature(int_, uid, uid),
    "lchown": Signature(path, uid, uid),
    "umask": Signature(mode, result=octal),
    "mknod": _mknod(path),
    "statfs": Signature(path, Out(statfs)),
    "fstatfs": Signature(int_, Out(statfs)),
    "chroot": Signature(path),
    "sync": Signature(),
    "readahead": Signature(int_, long_, ulong),
    "getdents64": Signature(int_, Out(_entries), uint),
    "fadvise64": Signature(int_, long_, ulong, _ADVICE),
    "openat": _opens(2, fd_at, path),
    "mkdirat": Signature(fd_at, path, mode),
    "mknodat": _mknod(fd_at, path),
    "fchownat": Signature(fd_at, path, uid, uid, AT_FLAGS),
    "newfstatat": Signature(fd_at, path, Out(stat), AT_FLAGS),
    "unlinkat": Signature(fd_at, path, AT_FLAGS),
    "renameat": Signature(fd_at, path, fd_at, path),
    "linkat": Signature(fd_at, path, fd_at, path, AT_FLAGS),
    "symlinkat": Signature(path, fd_at, path),
    "readlinkat": Signature(fd_at, path, Out(buffer_filled), ulong),
    "fchmodat": Signature(fd_at, path, mode),
    "faccessat": Signature(fd_at, path, _ACCESS),
    "splice": Signature(int_, _offset, int_, _offset, ulong, _SPLICE),
    "tee": Signature(int_, int_, ulong, _SPLICE),
    "sync_file_range": Signature(int_, long_, long_, _SYNC_FILE_RANGE),
    "fallocate": Signature(int_, _FALLOCATE, long_, long_),
    "dup3": Signature(int_, int_, OPEN_FLAGS),
    "pipe2": Signature(Out(_fds), OPEN_FLAGS),
    "preadv": Signature(int_, Out(_iovec), ulong, long_),
    "pwritev": Signature(int_, _iovec, ulong, long_),
    "syncfs": Signature(int_),
    "renameat2": Signature(fd_at, path, fd_at, path, _RENAME),
    "copy_file_range": Signature(int_, _offset, int_, _offset, ulong, uint),
    "preadv2": Signature(int_, Out(_iovec), ulong, long_, At(5, _RWF)),
    "pwritev2": Signature(int_, _iovec, ulong, long_, At(5, _RWF)),
    "statx": Signature(fd_at, path, _statx_flags, _STATX_MASK, Out(custom(256, _statx))),
    "close_range": Signature(uint, uint, _CLOSE_RANGE),
    "openat2": Signature(fd_at, path, _open_how, ulong),
    "faccessat2": Signature(fd_at, path, _ACCESS, _FACCESSAT_FLAGS),
}
