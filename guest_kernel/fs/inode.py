"""Inodes: their life, who may use them, their times, their write counts.

An inode lives as long as it is referenced: by its dentries, and by whoever called ``ihold``.  None
is kept unused, because no file system here could read it again (Linux: generic_delete_inode).

See: Linux fs/inode.c, fs/namei.c (generic_permission), fs/libfs.c; inode(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.fcntl import O_NOATIME
from guest_kernel.fs.operations import InodeOperations, super_operations
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import (
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    MNT_NOATIME,
    MNT_NODIRATIME,
    MNT_RELATIME,
    S_APPEND,
    S_DEAD,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    S_IMMUTABLE,
    S_ISGID,
    S_ISUID,
    S_IXGRP,
    S_NOATIME,
    SB_RDONLY,
    Ops,
    file,
    fs_data,
    inode,
    super_block,
    vfsmount,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail, list_del
from guest_kernel.mm.filemap import truncate_inode_pages
from guest_kernel.mm.slab import kfree, kfree_pa, kzalloc
from guest_kernel.time.timekeeping import ktime_get_real_ns

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

NSEC_PER_SEC: Final = 1_000_000_000
_ONE_DAY: Final = 24 * 60 * 60 * NSEC_PER_SEC

_I_MODE: Final = inode.offsetof("i_mode")
_I_FLAGS: Final = inode.offsetof("i_flags")
_I_COUNT: Final = inode.offsetof("i_count")
_I_WRITECOUNT: Final = inode.offsetof("i_writecount")
_ATIME: Final = inode.offsetof("i_atime_sec")
_MTIME: Final = inode.offsetof("i_mtime_sec")
_CTIME: Final = inode.offsetof("i_ctime_sec")
_ATIME_NSEC: Final = inode.offsetof("i_atime_nsec")
_MTIME_NSEC: Final = inode.offsetof("i_mtime_nsec")
_CTIME_NSEC: Final = inode.offsetof("i_ctime_nsec")
_F_INODE: Final = file.offsetof("f_inode")
_F_FLAGS: Final = file.offsetof("f_flags")
_F_MNT: Final = file.offsetof("f_path.mnt")
_MNT_FLAGS: Final = vfsmount.offsetof("mnt_flags")


# ---- types


def S_ISDIR(mode: int) -> bool:
    """Tell whether ``mode`` is a directory's."""
    return mode & S_IFMT == S_IFDIR


def S_ISREG(mode: int) -> bool:
    """Tell whether ``mode`` is a regular file's."""
    return mode & S_IFMT == S_IFREG


def S_ISLNK(mode: int) -> bool:
    """Tell whether ``mode`` is a symbolic link's."""
    return mode & S_IFMT == S_IFLNK


def special_file(mode: int) -> bool:
    """Tell whether ``mode`` is that of a device, a FIFO or a socket."""
    return mode & S_IFMT in (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK)


# ---- life


class EmptyInodeOperations(InodeOperations, ops=Ops.EMPTY_IOPS):
    """empty_iops: an inode that its file system gives no others, such as a pipe's."""


def new_inode(sb: super_block) -> inode:
    """Make an inode of which the caller has the only reference; the file system fills it."""
    k = sb.k
    node = kzalloc(k, inode)
    node.i_sb = sb
    node.i_blkbits = sb.s_blocksize_bits
    node.i_count = 1
    node.i_nlink = 1
    node.i_op = Ops.EMPTY_IOPS
    node.i_fop = Ops.NO_OPEN_FOPS
    mapping = node.i_data
    mapping.host = node
    INIT_LIST_HEAD(mapping.i_mmap)
    node.i_mapping = mapping
    list_add_tail(node.i_sb_list, sb.s_inodes)
    k.data(fs_data).nr_inodes += 1
    return node


def get_next_ino(k: Kernel) -> int:
    """Return an inode number that no other inode has; for file systems without their own."""
    data = k.data(fs_data)
    data.last_ino += 1
    return data.last_ino


def inode_init_owner(node: inode, directory: inode | None, mode: int, task: task_struct) -> None:
    """Set owner, group and mode of an inode that ``task`` makes in ``directory``."""
    node.i_uid = task.fsuid
    if directory is not None and directory.i_mode & S_ISGID:
        node.i_gid = directory.i_gid
        if S_ISDIR(mode):
            mode |= S_ISGID
    else:
        node.i_gid = task.fsgid
    node.i_mode = mode


def init_special_inode(node: inode, mode: int, rdev: int) -> None:
    """Make an inode that of a device, a FIFO or a socket."""
    node.i_mode = mode
    if mode & S_IFMT == S_IFCHR:
        node.i_fop = Ops.DEF_CHR_FOPS
        node.i_rdev = rdev
    elif mode & S_IFMT == S_IFBLK:
        node.i_rdev = rdev  # there are no block devices: open() is ENXIO


def ihold(node: inode) -> inode:
    """Take a reference."""
    node.k.i32[(node.pa + _I_COUNT) >> 2] += 1
    return node


def iput(node: inode) -> None:
    """Drop a reference; the last one frees the inode and its pages."""
    i32, at = node.k.i32, (node.pa + _I_COUNT) >> 2
    i32[at] -= 1
    if not i32[at]:
        _evict(node)
    elif i32[at] < 0:
        BUG(f"inode {node.i_ino} {node!r}: reference count is {i32[at]}")


def _evict(node: inode) -> None:
    truncate_inode_pages(node.i_data, 0)
    super_operations(node.i_sb.s_op).evict_inode(node)
    if S_ISLNK(node.i_mode) and node.i_link:
        kfree_pa(node.k, node.i_link & PHYSICAL_MASK)
    list_del(node.i_sb_list)
    node.k.data(fs_data).nr_inodes -= 1
    kfree(node)


def drop_nlink(node: inode) -> None:
    """Count one name less."""
    if not node.i_nlink:
        BUG(f"inode {node.i_ino} {node!r}: i_nlink would fall below 0")
    node.i_nlink -= 1


# ---- permission


def capable_dac_override(task: task_struct) -> bool:
    """Tell whether ``task`` may use files that their permission bits deny it."""
    return task.fsuid == 0


def inode_permission(node: inode, mask: int, task: task_struct) -> None:
    """Check that ``task`` may use an inode.

    Args:
        mask: MAY_*.

    Raises:
        SyscallError: EACCES: the permission bits deny it.  EROFS: a write to a read-only file
            system.  EPERM: a write to an immutable file.
    """
    mode = node.i_mode
    if mask & MAY_WRITE:
        if node.i_sb.s_flags & SB_RDONLY and mode & S_IFMT in (S_IFREG, S_IFDIR, S_IFLNK):
            raise SyscallError(Errno.EROFS)
        if node.i_flags & S_IMMUTABLE:
            raise SyscallError(Errno.EPERM)
    want = mask & (MAY_READ | MAY_WRITE | MAY_EXEC)
    if task.fsuid == node.i_uid:
        granted = mode >> 6
    elif in_group_p(task, node.i_gid):
        granted = mode >> 3
    else:
        granted = mode
    if want & ~granted == 0:
        return
    if capable_dac_override(task) and (S_ISDIR(mode) or not want & MAY_EXEC or mode & 0o111):
        return
    raise SyscallError(Errno.EACCES)


def in_group_p(task: task_struct, gid: int) -> bool:
    """Tell whether ``task`` is in a group."""
    return task.fsgid == gid


def inode_owner_or_capable(node: inode, task: task_struct) -> bool:
    """Tell whether ``task`` may do what only an owner may."""
    return task.fsuid in (node.i_uid, 0)


def check_sticky(directory: inode, node: inode, task: task_struct) -> bool:
    """Tell whether the sticky bit of a directory keeps ``task`` from removing ``node``."""
    if not directory.i_mode & 0o1000:
        return False
    return task.fsuid not in (node.i_uid, directory.i_uid, 0)


def may_delete(
    directory: inode, victim: inode, is_root: bool, isdir: bool, task: task_struct
) -> None:
    """Check that ``task`` may remove a name.

    Args:
        is_root: the name is a file system's root.
        isdir: the name is to be removed as a directory.

    Raises:
        SyscallError: EACCES, EPERM, ENOTDIR, EISDIR, EBUSY, ENOENT, as unlink(2) and rmdir(2)
            have them.
    """
    inode_permission(directory, MAY_WRITE | MAY_EXEC, task)
    if directory.i_flags & S_APPEND:
        raise SyscallError(Errno.EPERM)
    if check_sticky(directory, victim, task) or victim.i_flags & (S_APPEND | S_IMMUTABLE):
        raise SyscallError(Errno.EPERM)
    if isdir:
        if not S_ISDIR(victim.i_mode):
            raise SyscallError(Errno.ENOTDIR)
        if is_root:
            raise SyscallError(Errno.EBUSY)
    elif S_ISDIR(victim.i_mode):
        raise SyscallError(Errno.EISDIR)
    if directory.i_flags & S_DEAD:
        raise SyscallError(Errno.ENOENT)


def may_create(directory: inode, task: task_struct) -> None:
    """Check that ``task`` may make a name.

    Raises:
        SyscallError: ENOENT: the directory has been removed.  EACCES, EROFS, EPERM.
    """
    if directory.i_flags & S_DEAD:
        raise SyscallError(Errno.ENOENT)
    inode_permission(directory, MAY_WRITE | MAY_EXEC, task)


# ---- writers against programs being run


def get_write_access(node: inode) -> None:
    """Count a writer.

    Raises:
        SyscallError: ETXTBSY: it is a program that is being run.
    """
    if node.i_writecount < 0:
        raise SyscallError(Errno.ETXTBSY)
    node.i_writecount += 1


def put_write_access(node: inode) -> None:
    """Count a writer less."""
    node.i_writecount -= 1


def deny_write_access(f: file) -> None:
    """Keep a file from being opened for writing, while it is run as a program.

    Raises:
        SyscallError: ETXTBSY: it is open for writing.
    """
    node = f.f_inode
    if node.i_writecount > 0:
        raise SyscallError(Errno.ETXTBSY)
    node.i_writecount -= 1


def allow_write_access(f: file) -> None:
    """Undo one ``deny_write_access``."""
    k: Kernel = f.k
    node = k.u64[(f.pa + _F_INODE) >> 3] & PHYSICAL_MASK
    k.i32[(node + _I_WRITECOUNT) >> 2] += 1


# ---- times


def inode_set_ctime_current(node: inode) -> None:
    """Set the time of the inode's last change."""
    node.i_ctime_sec, node.i_ctime_nsec = divmod(ktime_get_real_ns(node.k), NSEC_PER_SEC)


def inode_set_mctime_current(node: inode) -> None:
    """Set the times of the last change of the contents and of the inode."""
    k, pa = node.k, node.pa
    sec, nsec = divmod(ktime_get_real_ns(k), NSEC_PER_SEC)
    k.i64[(pa + _MTIME) >> 3] = k.i64[(pa + _CTIME) >> 3] = sec
    k.u32[(pa + _MTIME_NSEC) >> 2] = k.u32[(pa + _CTIME_NSEC) >> 2] = nsec


def simple_inode_init_ts(node: inode) -> None:
    """Set all times of a new inode."""
    inode_set_mctime_current(node)
    node.i_atime_sec, node.i_atime_nsec = node.i_mtime_sec, node.i_mtime_nsec


def touch_atime(mnt: vfsmount, node: inode) -> None:
    """Set the time of the last access, where the mount says so.

    With MNT_RELATIME, the default, only if it is not younger than the last change, or is a day
    old.
    """
    _touch_atime(node.k, mnt.mnt_flags, node.pa)


def file_accessed(f: file) -> None:
    """Set the time of the last access of an open file's inode, unless it is O_NOATIME."""
    k, pa = f.k, f.pa
    if k.u32[(pa + _F_FLAGS) >> 2] & O_NOATIME:
        return
    u64 = k.u64
    mnt = u64[(pa + _F_MNT) >> 3] & PHYSICAL_MASK
    _touch_atime(k, k.i32[(mnt + _MNT_FLAGS) >> 2], u64[(pa + _F_INODE) >> 3] & PHYSICAL_MASK)


def _touch_atime(k: Kernel, mnt_flags: int, node: int) -> None:
    """Do as ``touch_atime`` for the inode at physical address ``node``."""
    i64, u32 = k.i64, k.u32
    if mnt_flags & (MNT_NOATIME | MNT_NODIRATIME) and (
        mnt_flags & MNT_NOATIME or S_ISDIR(k.u16[(node + _I_MODE) >> 1])
    ):
        return
    if u32[(node + _I_FLAGS) >> 2] & S_NOATIME:
        return
    now = ktime_get_real_ns(k)
    if mnt_flags & MNT_RELATIME:
        atime = i64[(node + _ATIME) >> 3] * NSEC_PER_SEC + u32[(node + _ATIME_NSEC) >> 2]
        if (
            i64[(node + _MTIME) >> 3] * NSEC_PER_SEC + u32[(node + _MTIME_NSEC) >> 2] < atime
            and i64[(node + _CTIME) >> 3] * NSEC_PER_SEC + u32[(node + _CTIME_NSEC) >> 2] < atime
            and now - atime < _ONE_DAY
        ):
            return
    i64[(node + _ATIME) >> 3], u32[(node + _ATIME_NSEC) >> 2] = divmod(now, NSEC_PER_SEC)


def file_remove_privs(node: inode, task: task_struct) -> None:
    """Clear the set-user-ID and set-group-ID bits of a file that ``task`` writes."""
    mode = node.i_mode
    if not mode & (S_ISUID | S_ISGID) or not S_ISREG(mode) or task.fsuid == 0:
        return
    if mode & S_IXGRP or not in_group_p(task, node.i_gid):
        mode &= ~S_ISGID
    node.i_mode = mode & ~S_ISUID
    inode_set_ctime_current(node)
