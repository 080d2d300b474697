"""stat(2) and its kin, statx(2), readlink(2).

See: Linux fs/stat.c; include/uapi/asm/stat.h (struct stat), include/uapi/linux/stat.h (statx).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.dcache import d_backing_inode
from guest_kernel.fs.fcntl import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_STATX_SYNC_TYPE,
    AT_SYMLINK_NOFOLLOW,
)
from guest_kernel.fs.file import fget_raw
from guest_kernel.fs.inode import S_ISLNK, touch_atime
from guest_kernel.fs.namei import (
    LOOKUP_EMPTY,
    LOOKUP_FOLLOW,
    filename_lookup,
    getname,
)
from guest_kernel.fs.namespace import Place, load_path, path_put, real_mount
from guest_kernel.fs.operations import inode_operations
from guest_kernel.layout.declare import I64, PHYSICAL_MASK, U16, U32, U64
from guest_kernel.layout.fs import (
    MINORBITS,
    MINORMASK,
    S_APPEND,
    S_IMMUTABLE,
    Ref,
    file,
    inode,
    new_encode_dev,
    super_block,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

# st_dev st_ino st_nlink  st_mode st_uid st_gid pad  st_rdev st_size st_blksize st_blocks
# st_atime st_atime_nsec st_mtime st_mtime_nsec st_ctime st_ctime_nsec  unused[3]
STAT: Final = struct.Struct("<QQQIIIIQqqqqQqQqQ24x")

# stx_mask stx_blksize stx_attributes stx_nlink stx_uid stx_gid stx_mode pad stx_ino stx_size
# stx_blocks stx_attributes_mask  atime btime ctime mtime (sec, nsec, pad each)
# stx_rdev_major minor stx_dev_major minor stx_mnt_id  stx_dio_mem_align ... spare
STATX: Final = struct.Struct("<IIQIIIHxxQQQQ" + "qI4x" * 4 + "IIIIQ104x")

STATX_BASIC_STATS: Final = 0x07FF
STATX_MNT_ID: Final = 0x1000
STATX_MNT_ID_UNIQUE: Final = 0x4000
STATX__RESERVED: Final = 0x8000_0000
MNT_UNIQUE_ID_OFFSET: Final = 1 << 31  # so that the two kinds are not mixed up
STATX_ATTR_IMMUTABLE: Final = 0x0010
STATX_ATTR_APPEND: Final = 0x0020
STATX_ATTR_AUTOMOUNT: Final = 0x1000
STATX_ATTR_MOUNT_ROOT: Final = 0x2000
STATX_ATTR_DAX: Final = 0x0020_0000
_ATTRIBUTES_MASK: Final = (
    STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_AUTOMOUNT | STATX_ATTR_MOUNT_ROOT
    | STATX_ATTR_DAX
)
_STAT_FLAGS: Final = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE

# Read in one go, in memory order.
_STAT_FIELDS: Final = (
    "i_mode", "i_uid", "i_gid", "i_op", "i_sb", "i_ino", "i_nlink", "i_rdev", "i_size",
    "i_atime_sec", "i_mtime_sec", "i_ctime_sec", "i_atime_nsec", "i_mtime_nsec", "i_ctime_nsec",
    "i_blkbits",
)
_S_DEV: Final = super_block.offsetof("s_dev")
_F_INODE: Final = file.offsetof("f_inode")


def _inode_format() -> struct.Struct:
    """Return the format of the fields of an inode that stat() shows, from its declaration."""
    codes = {U16: "H", U32: "I", U64: "Q", I64: "q", Ref: "Q"}
    format_, at = "<", 0
    for name in _STAT_FIELDS:
        field = inode.fields[name]
        format_ += f"{field.offset - at}x{codes[type(field)]}"
        at = field.offset + field.size
    return struct.Struct(format_)


_INODE: Final = _inode_format()


def cp_new_stat(node: inode) -> bytes:
    """Return an inode's ``struct stat``."""
    k = node.k
    (
        mode, uid, gid, i_op, sb, ino, nlink, rdev, size, atime, mtime, ctime,
        atime_nsec, mtime_nsec, ctime_nsec, blkbits,
    ) = _INODE.unpack_from(k.u8, node.pa)
    return STAT.pack(
        new_encode_dev(k.u32[((sb & PHYSICAL_MASK) + _S_DEV) >> 2]), ino, nlink,
        mode, uid, gid, 0, new_encode_dev(rdev), size, 1 << blkbits,
        inode_operations(i_op).getattr_blocks(node),
        atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec,
    )


def cp_statx(place: Place, mask: int) -> bytes:
    """Return the ``struct statx`` of a place."""
    node = d_backing_inode(place.dentry)
    dev, rdev = node.i_sb.s_dev, node.i_rdev
    attributes = 0
    if node.i_flags & S_IMMUTABLE:
        attributes |= STATX_ATTR_IMMUTABLE
    if node.i_flags & S_APPEND:
        attributes |= STATX_ATTR_APPEND
    if place.mnt.mnt_root == place.dentry:
        attributes |= STATX_ATTR_MOUNT_ROOT
    result = STATX_BASIC_STATS
    mnt_id = real_mount(place.mnt).mnt_id
    if mask & STATX_MNT_ID_UNIQUE:
        result |= STATX_MNT_ID_UNIQUE
        mnt_id += MNT_UNIQUE_ID_OFFSET
    else:
        result |= STATX_MNT_ID
    return STATX.pack(
        result,
        1 << node.i_blkbits,
        attributes,
        node.i_nlink,
        node.i_uid,
        node.i_gid,
        node.i_mode,
        node.i_ino,
        node.i_size,
        inode_operations(node.i_op).getattr_blocks(node),
        _ATTRIBUTES_MASK,
        node.i_atime_sec,
        node.i_atime_nsec,
        0,
        0,
        node.i_ctime_sec,
        node.i_ctime_nsec,
        node.i_mtime_sec,
        node.i_mtime_nsec,
        rdev >> MINORBITS,
        rdev & MINORMASK,
        dev >> MINORBITS,
        dev & MINORMASK,
        mnt_id,
    )


def _is_empty_path(current: task_struct, dfd: int, va: int) -> bool:
    """Tell whether an AT_EMPTY_PATH call means ``dfd`` itself: the path is NULL or empty."""
    return dfd >= 0 and (not va or copy_from_user(current.k, va, 1) == b"\0")


def _stat_at(current: task_struct, dfd: int, va: int, flags: int, statbuf: int) -> int:
    if flags == AT_EMPTY_PATH and _is_empty_path(current, dfd, va):
        return _fstat(current, dfd, statbuf)
    if flags & ~_STAT_FLAGS:
        raise SyscallError(Errno.EINVAL)
    name = getname(current, va, LOOKUP_EMPTY if flags & AT_EMPTY_PATH else 0)
    lookup_flags = 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW
    place = filename_lookup(current, dfd, name, lookup_flags | LOOKUP_EMPTY)
    try:
        data = cp_new_stat(d_backing_inode(place.dentry))
    finally:
        path_put(place)
    copy_to_user(current.k, statbuf, data)
    return 0


def _fstat(current: task_struct, fd: int, statbuf: int) -> int:
    f = fget_raw(current, fd)
    k = f.k
    node = inode(k, k.u64[(f.pa + _F_INODE) >> 3] & PHYSICAL_MASK)
    copy_to_user(k, statbuf, cp_new_stat(node))
    return 0


def _readlinkat(current: task_struct, dfd: int, va: int, buf: int, bufsiz: int) -> int:
    if bufsiz <= 0:
        raise SyscallError(Errno.EINVAL)
    name = getname(current, va, LOOKUP_EMPTY)
    place = filename_lookup(current, dfd, name, LOOKUP_EMPTY)
    try:
        node = d_backing_inode(place.dentry)
        if not S_ISLNK(node.i_mode):
            raise SyscallError(Errno.EINVAL if name else Errno.ENOENT)
        touch_atime(place.mnt, node)
        target = vfs_readlink(place, current)[:bufsiz]
    finally:
        path_put(place)
    copy_to_user(current.k, buf, target)
    return len(target)


def vfs_readlink(place: Place, current: task_struct) -> bytes:
    """Return a symbolic link's target."""
    operations = inode_operations(d_backing_inode(place.dentry).i_op)
    if "readlink" in operations.provides:
        return operations.readlink(place.dentry, current)
    target = operations.get_link(place.dentry, None)
    if target is None:
        BUG(f"{place.dentry!r}: a magic link without readlink")
    return target


# System calls


@SYSCALL_DEFINE
def sys_newstat(current: task_struct, filename: UserPtr, statbuf: UserPtr) -> int:
    """Describe a file.  See stat(2)."""
    return _stat_at(current, AT_FDCWD, filename, 0, statbuf)


@SYSCALL_DEFINE
def sys_newlstat(current: task_struct, filename: UserPtr, statbuf: UserPtr) -> int:
    """Describe a file, not following a symbolic link.  See lstat(2)."""
    return _stat_at(current, AT_FDCWD, filename, AT_SYMLINK_NOFOLLOW, statbuf)


@SYSCALL_DEFINE
def sys_newfstat(current: task_struct, fd: UInt, statbuf: UserPtr) -> int:
    """Describe an open file.  See fstat(2)."""
    return _fstat(current, fd, statbuf)


@SYSCALL_DEFINE
def sys_newfstatat(
    current: task_struct, dfd: Int, filename: UserPtr, statbuf: UserPtr, flag: Int
) -> int:
    """Describe a file, relative to a directory.  See fstatat(2)."""
    return _stat_at(current, dfd, filename, flag, statbuf)


@SYSCALL_DEFINE
def sys_statx(
    current: task_struct, dfd: Int, filename: UserPtr, flags: UInt, mask: UInt, buffer: UserPtr
) -> int:
    """Describe a file in more detail.  See statx(2).

    Limits: no birth time and nothing about direct I/O; stx_mask says so.
    """
    if mask & STATX__RESERVED or flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE:
        raise SyscallError(Errno.EINVAL)
    from_fd = flags & ~(AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) == AT_EMPTY_PATH
    if from_fd and _is_empty_path(current, dfd, filename):
        data = cp_statx(load_path(fget_raw(current, dfd).f_path), mask)
        copy_to_user(current.k, buffer, data)
        return 0
    if flags & ~_STAT_FLAGS:
        raise SyscallError(Errno.EINVAL)
    name = getname(current, filename, LOOKUP_EMPTY if flags & AT_EMPTY_PATH else 0)
    lookup_flags = 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW
    place = filename_lookup(current, dfd, name, lookup_flags | LOOKUP_EMPTY)
    try:
        data = cp_statx(place, mask)
    finally:
        path_put(place)
    copy_to_user(current.k, buffer, data)
    return 0


@SYSCALL_DEFINE
def sys_readlink(current: task_struct, path: UserPtr, buf: UserPtr, bufsiz: Int) -> int:
    """Store a symbolic link's target, cut at ``bufsiz``, without a NUL.  See readlink(2)."""
    return _readlinkat(current, AT_FDCWD, path, buf, bufsiz)


@SYSCALL_DEFINE
def sys_readlinkat(
    current: task_struct, dfd: Int, pathname: UserPtr, buf: UserPtr, bufsiz: Int
) -> int:
    """Store a symbolic link's target, relative to a directory.  See readlinkat(2)."""
    return _readlinkat(current, dfd, pathname, buf, bufsiz)
