"""open(2) in all its forms, and the calls of fs/open.c: access, truncate, chdir.

``path_openat`` is a transaction: the descriptor is taken first, then the file is allocated, the
path walked, a missing file made, permissions asked, the file opened, truncated, and only then
installed; each failure undoes what came before it.

Limits:
    No leases, no fanotify.  O_DIRECT is EINVAL, as ramfs has it.

See: Linux fs/open.c (build_open_flags), fs/namei.c (path_openat, do_open, lookup_open); open(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_alloc, d_backing_inode
from guest_kernel.fs.fcntl import (
    __O_SYNC,
    __O_TMPFILE,
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_DSYNC,
    O_EXCL,
    O_LARGEFILE,
    O_NOATIME,
    O_NOFOLLOW,
    O_PATH,
    O_PATH_FLAGS,
    O_TRUNC,
    VALID_OPEN_FLAGS,
)
from guest_kernel.fs.file import (
    fd_install,
    fget,
    fget_raw,
    files_of,
    get_unused_fd_flags,
    put_unused_fd,
    task_rlimit,
)
from guest_kernel.fs.file_table import alloc_empty_file, vfs_open
from guest_kernel.fs.fs_struct import fs_of, set_fs_pwd
from guest_kernel.fs.inode import (
    S_ISREG,
    allow_write_access,
    deny_write_access,
    file_remove_privs,
    get_write_access,
    inode_owner_or_capable,
    inode_permission,
    inode_set_mctime_current,
    may_create,
    put_write_access,
    special_file,
)
from guest_kernel.fs.namei import (
    LAST_NORM,
    LOOKUP_DIRECTORY,
    LOOKUP_EMPTY,
    LOOKUP_FOLLOW,
    d_can_lookup,
    getname,
    handle_dots,
    link_path_walk,
    lookup_fast,
    nameidata,
    path_init,
    step_into,
    user_path_at,
    walk_to_end,
)
from guest_kernel.fs.namespace import Place, load_path, mnt_want_write, path_noexec, path_put
from guest_kernel.fs.operations import inode_operations
from guest_kernel.layout.fs import (
    FMODE_CREATED,
    FMODE_WRITE,
    I_LINKABLE,
    MAY_ACCESS,
    MAY_APPEND,
    MAY_CHDIR,
    MAY_EXEC,
    MAY_OPEN,
    MAY_READ,
    MAY_WRITE,
    MNT_NODEV,
    S_APPEND,
    S_IALLUGO,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    SB_NODEV,
    dentry,
    file,
    inode,
)
from guest_kernel.layout.sched import RLIMIT_FSIZE
from guest_kernel.mm.filemap import fput
from guest_kernel.signal.numbers import SIGXFSZ
from guest_kernel.signal.signal import send_sig
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, Long, UInt, UserPtr

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

_ACC_MODE: Final = (MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE)


class open_flags(NamedTuple):
    """What an open asks for, sorted out.

    Attributes:
        open_flag: O_*.
        mode: type and permissions of a file that is made; 0 if none can be.
        acc_mode: MAY_*.
        lookup_flags: LOOKUP_*.
    """

    open_flag: int
    mode: int
    acc_mode: int
    lookup_flags: int


def build_open_flags(flags: int, mode: int) -> open_flags:
    """Check the flags of open(2), which ignores what it does not know.

    Raises:
        SyscallError: EINVAL: O_CREAT with O_DIRECTORY; O_TMPFILE without O_DIRECTORY or not for
            writing.
    """
    flags &= VALID_OPEN_FLAGS & ~O_CLOEXEC
    if flags & O_PATH:
        flags &= O_PATH_FLAGS
    acc_mode = _ACC_MODE[flags & O_ACCMODE]
    mode = mode & S_IALLUGO | S_IFREG if flags & (O_CREAT | __O_TMPFILE) else 0
    if flags & O_DIRECTORY and flags & O_CREAT:
        raise SyscallError(Errno.EINVAL)
    if flags & __O_TMPFILE and not (flags & O_DIRECTORY and acc_mode & MAY_WRITE):
        raise SyscallError(Errno.EINVAL)
    if flags & O_PATH:
        acc_mode = 0
    if flags & __O_SYNC:
        flags |= O_DSYNC
    if flags & O_TRUNC:
        acc_mode |= MAY_WRITE
    if flags & O_APPEND:
        acc_mode |= MAY_APPEND
    lookup_flags = LOOKUP_DIRECTORY if flags & O_DIRECTORY else 0
    exclusive = flags & (O_CREAT | O_EXCL) == (O_CREAT | O_EXCL)
    if not flags & O_NOFOLLOW and not exclusive:
        lookup_flags |= LOOKUP_FOLLOW
    return open_flags(flags, mode, acc_mode, lookup_flags)


def path_openat(current: task_struct, dfd: int, name: bytes, op: open_flags) -> file:
    """Open a path; return the file, with one reference."""
    f = alloc_empty_file(current.k, op.open_flag)
    nd = nameidata(current, op.lookup_flags)
    try:
        path_init(nd, dfd, name)
        if op.open_flag & __O_TMPFILE:
            _do_tmpfile(nd, f, op)
        elif op.open_flag & O_PATH:
            walk_to_end(nd)
            vfs_open(Place(nd.mnt, nd.dentry), f)
        else:
            _walk_for_open(nd, f, op)
            _do_open(nd, f, op)
    except BaseException:
        fput(f)
        raise
    finally:
        nd.terminate_walk()
    return f


def _walk_for_open(nd: nameidata, f: file, op: open_flags) -> None:
    """Walk to the file, and make it if need be.  See Linux open_last_lookups()."""
    while True:
        link_path_walk(nd)
        if nd.last_type != LAST_NORM:
            handle_dots(nd)
            return
        if nd.trailing:
            if op.open_flag & O_CREAT:
                raise SyscallError(Errno.EISDIR)
            nd.flags |= LOOKUP_FOLLOW | LOOKUP_DIRECTORY
        d = lookup_fast(nd)
        if d is None:
            d = _lookup_create(nd, f, op)
        target = step_into(nd, d, bool(nd.flags & LOOKUP_FOLLOW))
        if target is None:
            return
        nd.push(target)


def _lookup_create(nd: nameidata, f: file, op: open_flags) -> dentry:
    """Make the file that the walk did not find.

    Raises:
        SyscallError: ENOENT: no O_CREAT, or the directory has been removed.  EROFS, EACCES.
    """
    if not op.open_flag & O_CREAT:
        raise SyscallError(Errno.ENOENT)
    parent = nd.dentry
    directory = d_backing_inode(parent)
    mnt_want_write(nd.mnt)
    may_create(directory, nd.current)
    operations = inode_operations(directory.i_op)
    mode = op.mode & ~fs_of(nd.current).umask
    new = d_alloc(parent, nd.last)
    nd.created.append(new)
    operations.create(directory, new, mode, nd.current)
    f.f_mode |= FMODE_CREATED
    return new


def _do_open(nd: nameidata, f: file, op: open_flags) -> None:
    """Open what the walk arrived at.  See Linux do_open()."""
    flags, acc_mode, current = op.open_flag, op.acc_mode, nd.current
    node = d_backing_inode(nd.dentry)
    created = f.f_mode & FMODE_CREATED
    if flags & O_CREAT:
        if flags & O_EXCL and not created:
            raise SyscallError(Errno.EEXIST)
        if d_can_lookup(nd.dentry):
            raise SyscallError(Errno.EISDIR)
    if nd.flags & LOOKUP_DIRECTORY and not d_can_lookup(nd.dentry):
        raise SyscallError(Errno.ENOTDIR)
    truncate = False
    if created:
        # Its permission bits are for the next one who opens it.
        flags &= ~O_TRUNC
        acc_mode = 0
    elif flags & O_TRUNC and S_ISREG(node.i_mode):
        mnt_want_write(nd.mnt)
        truncate = True
    _may_open(Place(nd.mnt, nd.dentry), node, acc_mode, flags, current)
    vfs_open(Place(nd.mnt, nd.dentry), f)
    if truncate:
        _handle_truncate(nd.dentry, current)


def _handle_truncate(d: dentry, current: task_struct) -> None:
    """Truncate a file for O_TRUNC, which need not be open for writing."""
    node = d_backing_inode(d)
    get_write_access(node)
    try:
        do_truncate(d, 0, current)
    finally:
        put_write_access(node)


def _may_open(
    place: Place, node: inode, acc_mode: int, flags: int, current: task_struct
) -> None:
    """Check that a file may be opened.

    Raises:
        SyscallError: ELOOP: it is a symbolic link.  EISDIR: a directory, for writing.  EACCES: the
            permission bits, or the mount, deny it.  EPERM: O_NOATIME by a stranger, or an
            append-only file not opened for appending.
    """
    kind = node.i_mode & S_IFMT
    if kind == S_IFLNK:
        raise SyscallError(Errno.ELOOP)
    if kind == S_IFDIR:
        if acc_mode & MAY_WRITE:
            raise SyscallError(Errno.EISDIR)
        if acc_mode & MAY_EXEC:
            raise SyscallError(Errno.EACCES)
    elif kind in (S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK):
        if kind in (S_IFBLK, S_IFCHR) and not _may_open_dev(place):
            raise SyscallError(Errno.EACCES)
        if acc_mode & MAY_EXEC:
            raise SyscallError(Errno.EACCES)
        flags &= ~O_TRUNC
    elif acc_mode & MAY_EXEC and path_noexec(place.mnt):
        raise SyscallError(Errno.EACCES)
    inode_permission(node, MAY_OPEN | acc_mode, current)
    if node.i_flags & S_APPEND and (
        (flags & O_ACCMODE and not flags & O_APPEND) or flags & O_TRUNC
    ):
        raise SyscallError(Errno.EPERM)
    if flags & O_NOATIME and not inode_owner_or_capable(node, current):
        raise SyscallError(Errno.EPERM)


def _may_open_dev(place: Place) -> bool:
    return not (
        place.mnt.mnt_flags & MNT_NODEV or place.mnt.mnt_sb.s_flags & SB_NODEV
    )


def _do_tmpfile(nd: nameidata, f: file, op: open_flags) -> None:
    """Make a file without a name in the directory that the walk leads to."""
    walk_to_end(nd)
    mnt_want_write(nd.mnt)
    directory = d_backing_inode(nd.dentry)
    inode_permission(directory, MAY_WRITE | MAY_EXEC, nd.current)
    mode = op.mode & ~fs_of(nd.current).umask
    new = inode_operations(directory.i_op).tmpfile(directory, nd.dentry, mode, nd.current)
    nd.created.append(new)
    if not op.open_flag & O_EXCL:
        node = d_backing_inode(new)
        node.i_state |= I_LINKABLE
    vfs_open(Place(nd.mnt, new), f)


def do_filp_open(current: task_struct, dfd: int, name: bytes, flags: int, mode: int) -> file:
    """Open a path given flags as of open(2); return the file, with one reference."""
    return path_openat(current, dfd, name, build_open_flags(flags, mode))


def filp_open(current: task_struct, name: bytes, flags: int, mode: int = 0) -> file:
    """Open a path for the kernel itself; return the file, with one reference."""
    return do_filp_open(current, AT_FDCWD, name, flags | O_LARGEFILE, mode)


def do_open_execat(current: task_struct, dfd: int, name: bytes, flags: int = 0) -> file:
    """Open a program for execve(2); return the file, with one reference.

    Nobody can write to it before ``close_exec_file()``.

    Args:
        flags: AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW.

    Raises:
        SyscallError: EACCES: it is not a regular file, or may not be executed.  ETXTBSY: it is open
            for writing.  What the walk says.
    """
    lookup = (0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW) | (
        LOOKUP_EMPTY if flags & AT_EMPTY_PATH else 0)
    op = open_flags(O_LARGEFILE, 0, MAY_EXEC, lookup)
    f = path_openat(current, dfd, name, op)
    try:
        if not S_ISREG(f.f_inode.i_mode) or path_noexec(f.f_path.mnt):
            raise SyscallError(Errno.EACCES)
        deny_write_access(f)
    except SyscallError:
        fput(f)
        raise
    return f


def close_exec_file(f: file) -> None:
    """Drop what ``do_open_execat()`` has returned."""
    allow_write_access(f)
    fput(f)


def do_sys_openat2(current: task_struct, dfd: int, va: int, flags: int, mode: int) -> int:
    """Open the path at ``va`` and return a descriptor."""
    op = build_open_flags(flags, mode)
    name = getname(current, va)
    fd = get_unused_fd_flags(current, flags & O_CLOEXEC)
    try:
        f = path_openat(current, dfd, name, op)
    except BaseException:
        put_unused_fd(files_of(current), fd)
        raise
    fd_install(files_of(current), fd, f)
    return fd


# ---- truncation


def do_truncate(d: dentry, length: int, current: task_struct, touch: bool = True) -> None:
    """Set the size of a regular file.  Permissions have been checked.

    Args:
        touch: set the times of the last change even if the size stays the same.

    Raises:
        SyscallError: EFBIG: beyond RLIMIT_FSIZE, and SIGXFSZ is sent; or what the file system can.
    """
    node = d_backing_inode(d)
    if length > node.i_size:
        if length > task_rlimit(current, RLIMIT_FSIZE):
            send_sig(SIGXFSZ, current)
            raise SyscallError(Errno.EFBIG)
        if length > node.i_sb.s_maxbytes:
            raise SyscallError(Errno.EFBIG)
    file_remove_privs(node, current)
    touch = touch or length != node.i_size
    inode_operations(node.i_op).setattr_size(d, length)
    if touch:
        inode_set_mctime_current(node)


# ---- access


def do_faccessat(current: task_struct, dfd: int, va: int, mode: int, flags: int) -> None:
    """Check permissions by the real IDs, or with AT_EACCESS by the effective ones."""
    if mode & ~7 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise SyscallError(Errno.EINVAL)
    lookup_flags = 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW
    if flags & AT_EMPTY_PATH:
        lookup_flags |= LOOKUP_EMPTY
    fsuid, fsgid = current.fsuid, current.fsgid
    if not flags & AT_EACCESS:
        # access_override_creds(): the walk, too, is done with the real IDs.
        current.fsuid, current.fsgid = current.uid, current.gid
    try:
        place = user_path_at(current, dfd, va, lookup_flags)
        try:
            _check_access(place, mode, current)
        finally:
            path_put(place)
    finally:
        current.fsuid, current.fsgid = fsuid, fsgid


def _check_access(place: Place, mode: int, current: task_struct) -> None:
    node = d_backing_inode(place.dentry)
    if mode & MAY_EXEC and S_ISREG(node.i_mode) and path_noexec(place.mnt):
        raise SyscallError(Errno.EACCES)
    inode_permission(node, mode | MAY_ACCESS, current)
    if mode & MAY_WRITE and not special_file(node.i_mode):
        mnt_want_write(place.mnt)


# System calls


@SYSCALL_DEFINE
def sys_open(current: task_struct, filename: UserPtr, flags: Int, mode: UInt) -> int:
    """Open a file, and make it if asked to.  See open(2)."""
    return do_sys_openat2(current, AT_FDCWD, filename, flags | O_LARGEFILE, mode)


@SYSCALL_DEFINE
def sys_openat(current: task_struct, dfd: Int, filename: UserPtr, flags: Int, mode: UInt) -> int:
    """Open a file relative to a directory.  See openat(2)."""
    return do_sys_openat2(current, dfd, filename, flags | O_LARGEFILE, mode)


@SYSCALL_DEFINE
def sys_access(current: task_struct, filename: UserPtr, mode: Int) -> int:
    """Check permissions by the real IDs.  See access(2)."""
    do_faccessat(current, AT_FDCWD, filename, mode, 0)
    return 0


@SYSCALL_DEFINE
def sys_faccessat(current: task_struct, dfd: Int, filename: UserPtr, mode: Int) -> int:
    """Check permissions by the real IDs, relative to a directory.  See faccessat(2)."""
    do_faccessat(current, dfd, filename, mode, 0)
    return 0


@SYSCALL_DEFINE
def sys_faccessat2(
    current: task_struct, dfd: Int, filename: UserPtr, mode: Int, flags: Int
) -> int:
    """Check permissions relative to a directory, with flags.  See faccessat2(2)."""
    do_faccessat(current, dfd, filename, mode, flags)
    return 0


@SYSCALL_DEFINE
def sys_truncate(current: task_struct, path: UserPtr, length: Long) -> int:
    """Set the size of a file.  See truncate(2)."""
    if length < 0:
        raise SyscallError(Errno.EINVAL)
    place = user_path_at(current, AT_FDCWD, path, LOOKUP_FOLLOW)
    try:
        node = d_backing_inode(place.dentry)
        if node.i_mode & S_IFMT == S_IFDIR:
            raise SyscallError(Errno.EISDIR)
        if not S_ISREG(node.i_mode):
            raise SyscallError(Errno.EINVAL)
        mnt_want_write(place.mnt)
        inode_permission(node, MAY_WRITE, current)
        if node.i_flags & S_APPEND:
            raise SyscallError(Errno.EPERM)
        get_write_access(node)
        try:
            do_truncate(place.dentry, length, current, touch=False)
        finally:
            put_write_access(node)
    finally:
        path_put(place)
    return 0


@SYSCALL_DEFINE
def sys_ftruncate(current: task_struct, fd: UInt, length: Long) -> int:
    """Set the size of an open file.  See ftruncate(2)."""
    if length < 0:
        raise SyscallError(Errno.EINVAL)
    f = fget(current, fd)
    node = f.f_inode
    if not S_ISREG(node.i_mode) or not f.f_mode & FMODE_WRITE:
        raise SyscallError(Errno.EINVAL)
    if node.i_flags & S_APPEND:
        raise SyscallError(Errno.EPERM)
    do_truncate(f.f_path.dentry, length, current)
    return 0


@SYSCALL_DEFINE
def sys_chdir(current: task_struct, filename: UserPtr) -> int:
    """Change the working directory.  See chdir(2)."""
    place = user_path_at(current, AT_FDCWD, filename, LOOKUP_FOLLOW | LOOKUP_DIRECTORY)
    try:
        node = d_backing_inode(place.dentry)
        inode_permission(node, MAY_EXEC | MAY_CHDIR, current)
        set_fs_pwd(fs_of(current), place)
    finally:
        path_put(place)
    return 0


@SYSCALL_DEFINE
def sys_fchdir(current: task_struct, fd: UInt) -> int:
    """Change the working directory to an open one.  See fchdir(2)."""
    place = load_path(fget_raw(current, fd).f_path)
    if not d_can_lookup(place.dentry):
        raise SyscallError(Errno.ENOTDIR)
    node = d_backing_inode(place.dentry)
    inode_permission(node, MAY_EXEC | MAY_CHDIR, current)
    set_fs_pwd(fs_of(current), place)
    return 0
