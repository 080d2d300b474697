"""Path walk: from a name to a dentry, and the calls that make and remove names.

A walk goes component by component through the dentry cache, crosses mounts, follows symbolic links
and asks for search permission in each directory.  As nothing sleeps and nothing is freed during a
walk it takes no references on its way, except to dentries that it had to make (``created``), which
it drops at its end; only the place that it arrives at is referenced for the caller.

A walk keeps the components ahead in ``todo``, last first.  A symbolic link in the middle of a path
puts its own components there; one at the end starts another round.

Limits:
    No openat2(2) and so no RESOLVE_* flags; no automounts, no leases; sysctls protected_symlinks,
    protected_regular and protected_fifos are 0.

See: Linux fs/namei.c; Documentation/filesystems/path-lookup.rst; path_resolution(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_alloc, d_backing_inode, d_drop, d_lookup, dget, dput
from guest_kernel.fs.fcntl import (
    AT_FDCWD,
    AT_REMOVEDIR,
)
from guest_kernel.fs.file import fget_raw
from guest_kernel.fs.fs_struct import fs_of
from guest_kernel.fs.inode import (
    ihold,
    inode_permission,
    iput,
    may_create,
    may_delete,
    touch_atime,
)
from guest_kernel.fs.namespace import (
    Place,
    is_local_mountpoint,
    load_path,
    lookup_mnt,
    mnt_want_write,
    path_get,
    path_put,
    real_mount,
)
from guest_kernel.fs.operations import dentry_operations, inode_operations
from guest_kernel.layout.fs import (
    DCACHE_CANT_MOUNT,
    DCACHE_DIRECTORY_TYPE,
    DCACHE_ENTRY_TYPE,
    DCACHE_MOUNTED,
    DCACHE_OP_REVALIDATE,
    DCACHE_SYMLINK_TYPE,
    MAY_EXEC,
    MNT_NOSYMFOLLOW,
    PATH_MAX,
    S_DEAD,
    S_IFDIR,
    S_IFMT,
    S_IRWXUGO,
    S_ISVTX,
    dentry,
    inode,
    vfsmount,
)
from guest_kernel.mm.uaccess import strncpy_from_user
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

# What a walk does with its last component.
LOOKUP_FOLLOW: Final = 0x0001  # follow it if it is a symbolic link
LOOKUP_DIRECTORY: Final = 0x0002  # it must be a directory
LOOKUP_EMPTY: Final = 0x4000  # the path may be empty and then names its start

MAXSYMLINKS: Final = 40  # links followed in a walk

# last_type
LAST_NORM: Final = 0  # a name
LAST_ROOT: Final = 1  # nothing but slashes
LAST_DOT: Final = 2
LAST_DOTDOT: Final = 3

_D_FLAGS: Final = dentry.offsetof("d_flags")


class nameidata:
    """A walk: where it is, and what is ahead of it.

    Attributes:
        current: who walks.
        mnt, dentry: where it is.
        root: where ".." ends and "/" begins; the task's root.
        flags: LOOKUP_*.
        todo: components ahead, last first.
        last, last_type: the last component, and LAST_*.
        trailing: slashes follow the last component.
        total_link_count: symbolic links followed.
        created: dentries that the walk has made, each referenced.
    """

    __slots__ = (
        "created", "current", "dentry", "flags", "last", "last_type", "mnt", "root", "todo",
        "total_link_count", "trailing",
    )

    def __init__(self, current: task_struct, flags: int) -> None:
        self.current = current
        self.flags = flags
        self.root: Place = load_path(fs_of(current).root)
        self.mnt: vfsmount = self.root.mnt
        self.dentry: dentry = self.root.dentry
        self.todo: list[bytes] = []
        self.last = b""
        self.last_type = LAST_ROOT
        self.trailing = False
        self.total_link_count = 0
        self.created: list[dentry] = []

    def push(self, name: bytes) -> None:
        """Put the components of a path, or of a link's target, before what is ahead."""
        if not self.todo:
            self.trailing = name[-1:] == b"/"
        self.todo += [part for part in reversed(name.split(b"/")) if part]

    def terminate_walk(self) -> None:
        """Drop the dentries that the walk has made."""
        for d in self.created:
            dput(d)


# ---- names from user space


def getname(current: task_struct, va: int, flags: int = 0) -> bytes:
    """Read a path.

    Args:
        flags: LOOKUP_EMPTY: the path may be empty.

    Raises:
        SyscallError: EFAULT; ENAMETOOLONG: PATH_MAX or more bytes; ENOENT: empty.
    """
    name: bytes = strncpy_from_user(current.k, va, PATH_MAX)
    if len(name) >= PATH_MAX:
        raise SyscallError(Errno.ENAMETOOLONG)
    if not name and not flags & LOOKUP_EMPTY:
        raise SyscallError(Errno.ENOENT)
    return name


# ---- the walk


def path_init(nd: nameidata, dfd: int, name: bytes) -> None:
    """Go to the start of a walk.

    Raises:
        SyscallError: EBADF: ``dfd`` is not open.  ENOTDIR: it is not a directory.
    """
    if name[:1] == b"/":
        nd.mnt, nd.dentry = nd.root
    elif dfd == AT_FDCWD:
        nd.mnt, nd.dentry = load_path(fs_of(nd.current).pwd)
    else:
        nd.mnt, nd.dentry = load_path(fget_raw(nd.current, dfd & 0xFFFF_FFFF).f_path)
        if name and not d_can_lookup(nd.dentry):
            raise SyscallError(Errno.ENOTDIR)
    nd.push(name)


def link_path_walk(nd: nameidata) -> None:
    """Walk to the directory of the last component, and leave that in ``last`` and ``last_type``.

    Raises:
        SyscallError: ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG: of the components before.
    """
    todo = nd.todo
    if not todo:
        nd.last, nd.last_type = b"", LAST_ROOT
        return
    while True:
        # Search permission, even for "." and "..".
        inode_permission(d_backing_inode(nd.dentry), MAY_EXEC, nd.current)
        nd.last = name = todo.pop()
        nd.last_type = (
            LAST_NORM if name[0] != 0x2E else LAST_DOT if name == b"." else
            LAST_DOTDOT if name == b".." else LAST_NORM
        )
        if not todo:
            return
        target = walk_component(nd, follow=True)
        if target is not None:
            nd.push(target)
        elif not d_can_lookup(nd.dentry):
            raise SyscallError(Errno.ENOTDIR)


def walk_component(nd: nameidata, follow: bool) -> bytes | None:
    """Go from a directory to its entry ``last``.

    Returns:
        If that is a symbolic link to be followed: its target, the walk being where that begins.
        Else None.
    """
    if nd.last_type != LAST_NORM:
        handle_dots(nd)
        return None
    d = lookup_fast(nd)
    if d is None:
        raise SyscallError(Errno.ENOENT)
    return step_into(nd, d, follow)


def lookup_fast(nd: nameidata) -> dentry | None:
    """Find ``last`` in the directory at hand: in the dentry cache, else by asking the file system.

    Returns:
        The dentry, which the walk references if need be; None: there is no such name.
    """
    parent = nd.dentry
    d = d_lookup(parent, nd.last)
    if d is not None:
        if not d.k.u32[(d.pa + _D_FLAGS) >> 2] & DCACHE_OP_REVALIDATE:
            return d
        if dentry_operations(d.d_op).d_revalidate(d):
            return d
        d_drop(d)
    directory = d_backing_inode(parent)
    if directory.i_flags & S_DEAD:
        raise SyscallError(Errno.ENOENT)
    d = inode_operations(directory.i_op).lookup(directory, parent, nd.last)
    if d is not None:
        nd.created.append(d)
    return d


def handle_dots(nd: nameidata) -> None:
    """Go where "." or ".." leads."""
    if nd.last_type != LAST_DOTDOT:
        return
    m = real_mount(nd.mnt)
    while (nd.dentry, nd.mnt) != (nd.root.dentry, nd.root.mnt):
        if nd.dentry != m.mnt.mnt_root:
            nd.dentry = nd.dentry.d_parent
            break
        if m.mnt_parent == m:
            break
        nd.dentry, m = m.mnt_mountpoint, m.mnt_parent
        nd.mnt = m.mnt
    _traverse_mounts(nd)


def _traverse_mounts(nd: nameidata) -> None:
    """Go down to the root of what is mounted where the walk is."""
    while nd.dentry.k.u32[(nd.dentry.pa + _D_FLAGS) >> 2] & DCACHE_MOUNTED:
        m = lookup_mnt(nd.mnt, nd.dentry)
        if m is None:
            return
        nd.mnt, nd.dentry = m.mnt, m.mnt.mnt_root


def step_into(nd: nameidata, d: dentry, follow: bool) -> bytes | None:
    """Go to a dentry of the directory at hand; see ``walk_component``."""
    flags = d.k.u32[(d.pa + _D_FLAGS) >> 2]
    if follow and flags & DCACHE_ENTRY_TYPE == DCACHE_SYMLINK_TYPE:
        return _pick_link(nd, d)
    nd.dentry = d
    if flags & DCACHE_MOUNTED:
        _traverse_mounts(nd)
    return None


def _pick_link(nd: nameidata, link: dentry) -> bytes | None:
    """Read a symbolic link and go to where its target begins."""
    if nd.total_link_count >= MAXSYMLINKS:
        raise SyscallError(Errno.ELOOP)
    nd.total_link_count += 1
    if nd.mnt.mnt_flags & MNT_NOSYMFOLLOW:
        raise SyscallError(Errno.ELOOP)
    node = d_backing_inode(link)
    touch_atime(nd.mnt, node)
    target = inode_operations(node.i_op).get_link(link, nd)
    if target is not None and target[:1] == b"/":
        nd.mnt, nd.dentry = nd.root
    return target


def nd_jump_link(nd: nameidata, place: Place) -> None:
    """Go to ``place``: what a magic link of /proc does instead of naming a target."""
    nd.mnt, nd.dentry = place


def d_can_lookup(d: dentry) -> bool:
    """Tell whether a dentry is a directory's."""
    kind = d.k.u32[(d.pa + _D_FLAGS) >> 2] & DCACHE_ENTRY_TYPE
    return bool(kind == DCACHE_DIRECTORY_TYPE)


def walk_to_end(nd: nameidata) -> None:
    """Walk all components, the last one as ``flags`` say."""
    while True:
        link_path_walk(nd)
        if nd.last_type == LAST_NORM and nd.trailing:
            nd.flags |= LOOKUP_FOLLOW | LOOKUP_DIRECTORY
        target = walk_component(nd, follow=bool(nd.flags & LOOKUP_FOLLOW))
        if target is None:
            break
        nd.push(target)
    if nd.flags & LOOKUP_DIRECTORY and not d_can_lookup(nd.dentry):
        raise SyscallError(Errno.ENOTDIR)


def filename_lookup(current: task_struct, dfd: int, name: bytes, flags: int) -> Place:
    """Find what a path names.

    Args:
        dfd: where a relative path begins: a descriptor, or AT_FDCWD.
        flags: LOOKUP_*.

    Returns:
        The place, referenced; the caller calls ``path_put``.
    """
    nd = nameidata(current, flags)
    try:
        path_init(nd, dfd, name)
        walk_to_end(nd)
        return path_get(Place(nd.mnt, nd.dentry))
    finally:
        nd.terminate_walk()


def user_path_at(current: task_struct, dfd: int, va: int, flags: int) -> Place:
    """Find what a path in user memory names; see ``filename_lookup``."""
    return filename_lookup(current, dfd, getname(current, va, flags), flags)


def kern_path(current: task_struct, name: bytes, flags: int = LOOKUP_FOLLOW) -> Place:
    """Find what a path of the kernel's own names, for ``current``; see ``filename_lookup``."""
    return filename_lookup(current, AT_FDCWD, name, flags)


def filename_parentat(
    current: task_struct, dfd: int, name: bytes
) -> tuple[Place, bytes, int, bool]:
    """Find the directory of a path's last component.

    Returns:
        The directory, referenced; the last component; its LAST_*; whether slashes follow it.
    """
    nd = nameidata(current, 0)
    try:
        path_init(nd, dfd, name)
        link_path_walk(nd)
        return path_get(Place(nd.mnt, nd.dentry)), nd.last, nd.last_type, nd.trailing
    finally:
        nd.terminate_walk()


def lookup_one(parent: dentry, name: bytes) -> dentry | None:
    """Find a name in a directory; return its dentry, referenced, or None."""
    directory = d_backing_inode(parent)
    if directory.i_flags & S_DEAD:
        raise SyscallError(Errno.ENOENT)
    d = d_lookup(parent, name)
    if d is not None:
        return dget(d)
    return inode_operations(directory.i_op).lookup(directory, parent, name)


# ---- making names


def filename_create(
    current: task_struct, dfd: int, name: bytes, want_dir: bool = False
) -> tuple[Place, dentry]:
    """Prepare to make a name.

    Args:
        want_dir: slashes may follow the last component.

    Returns:
        The directory, and a negative dentry in it; ``done_path_create`` takes both back.

    Raises:
        SyscallError: EEXIST: the name is there, or is "." or "..".  ENOENT: the path ends with a
            slash.  EROFS.  What the walk says.
    """
    place, last, last_type, trailing = filename_parentat(current, dfd, name)
    try:
        if last_type != LAST_NORM:
            raise SyscallError(Errno.EEXIST)
        found = lookup_one(place.dentry, last)
        if found is not None:
            dput(found)
            raise SyscallError(Errno.EEXIST)
        if trailing and not want_dir:
            raise SyscallError(Errno.ENOENT)
        mnt_want_write(place.mnt)
        return place, d_alloc(place.dentry, last)
    except BaseException:
        path_put(place)
        raise


def done_path_create(place: Place, new: dentry) -> None:
    """Drop what ``filename_create`` returned."""
    dput(new)
    path_put(place)


def vfs_mkdir(directory: inode, new: dentry, mode: int, task: task_struct) -> None:
    """Make a directory."""
    may_create(directory, task)
    inode_operations(directory.i_op).mkdir(
        directory, new, mode & (S_IRWXUGO | S_ISVTX) | S_IFDIR, task
    )


def vfs_mknod(directory: inode, new: dentry, mode: int, rdev: int, task: task_struct) -> None:
    """Make a device node, FIFO or socket."""
    may_create(directory, task)
    inode_operations(directory.i_op).mknod(directory, new, mode, rdev, task)


def vfs_symlink(directory: inode, new: dentry, target: bytes, task: task_struct) -> None:
    """Make a symbolic link."""
    may_create(directory, task)
    inode_operations(directory.i_op).symlink(directory, new, target, task)


def vfs_link(old: dentry, directory: inode, new: dentry, task: task_struct) -> None:
    """Give an inode another name.

    Raises:
        SyscallError: EXDEV: in another file system.  EPERM: it is a directory.  ENOENT: it has
            no name left.
    """
    node = d_backing_inode(old)
    may_create(directory, task)
    if directory.i_sb != node.i_sb:
        raise SyscallError(Errno.EXDEV)
    if node.i_mode & S_IFMT == S_IFDIR:
        raise SyscallError(Errno.EPERM)
    if not node.i_nlink:
        raise SyscallError(Errno.ENOENT)
    inode_operations(directory.i_op).link(old, directory, new)


def do_mkdirat(current: task_struct, dfd: int, name: bytes, mode: int) -> None:
    """Make a directory.  See mkdirat(2)."""
    place, new = filename_create(current, dfd, name, want_dir=True)
    try:
        vfs_mkdir(d_backing_inode(place.dentry), new, mode & ~fs_of(current).umask, current)
    finally:
        done_path_create(place, new)


def do_symlinkat(current: task_struct, target: bytes, dfd: int, name: bytes) -> None:
    """Make a symbolic link.  See symlinkat(2)."""
    place, new = filename_create(current, dfd, name)
    try:
        vfs_symlink(d_backing_inode(place.dentry), new, target, current)
    finally:
        done_path_create(place, new)


# ---- removing names


def vfs_unlink(directory: inode, victim: dentry, task: task_struct) -> None:
    """Remove a name that is not a directory's.

    Raises:
        SyscallError: EISDIR; EBUSY: something is mounted there; see ``may_delete``.
    """
    may_delete(directory, d_backing_inode(victim), False, False, task)
    if is_local_mountpoint(victim):
        raise SyscallError(Errno.EBUSY)
    inode_operations(directory.i_op).unlink(directory, victim)
    victim.d_flags |= DCACHE_CANT_MOUNT
    d_drop(victim)


def vfs_rmdir(directory: inode, victim: dentry, task: task_struct) -> None:
    """Remove an empty directory.

    Raises:
        SyscallError: ENOTDIR, ENOTEMPTY; EBUSY: something is mounted there; see ``may_delete``.
    """
    node = d_backing_inode(victim)
    may_delete(directory, node, victim.d_parent == victim, True, task)
    if is_local_mountpoint(victim):
        raise SyscallError(Errno.EBUSY)
    inode_operations(directory.i_op).rmdir(directory, victim)
    node.i_flags |= S_DEAD
    victim.d_flags |= DCACHE_CANT_MOUNT
    d_drop(victim)


def do_unlinkat(current: task_struct, dfd: int, name: bytes) -> None:
    """Remove a name that is not a directory's.  See unlink(2)."""
    place, last, last_type, trailing = filename_parentat(current, dfd, name)
    node: inode | None = None
    victim: dentry | None = None
    try:
        if last_type != LAST_NORM:
            raise SyscallError(Errno.EISDIR)
        mnt_want_write(place.mnt)
        victim = lookup_one(place.dentry, last)
        if victim is None:
            raise SyscallError(Errno.ENOENT)
        if trailing:
            raise SyscallError(Errno.EISDIR if d_can_lookup(victim) else Errno.ENOTDIR)
        # The inode, with its pages, goes after the name.
        node = ihold(d_backing_inode(victim))
        vfs_unlink(d_backing_inode(place.dentry), victim, current)
    finally:
        dput(victim)
        if node is not None:
            iput(node)
        path_put(place)


_RMDIR_ERRORS: Final = {
    LAST_DOTDOT: Errno.ENOTEMPTY,
    LAST_DOT: Errno.EINVAL,
    LAST_ROOT: Errno.EBUSY,
}


def do_rmdir(current: task_struct, dfd: int, name: bytes) -> None:
    """Remove an empty directory.  See rmdir(2)."""
    place, last, last_type, _ = filename_parentat(current, dfd, name)
    victim: dentry | None = None
    try:
        if last_type != LAST_NORM:
            raise SyscallError(_RMDIR_ERRORS[last_type])
        mnt_want_write(place.mnt)
        victim = lookup_one(place.dentry, last)
        if victim is None:
            raise SyscallError(Errno.ENOENT)
        vfs_rmdir(d_backing_inode(place.dentry), victim, current)
    finally:
        dput(victim)
        path_put(place)


# System calls


@SYSCALL_DEFINE
def sys_mkdir(current: task_struct, pathname: UserPtr, mode: UInt) -> int:
    """Make a directory.  See mkdir(2)."""
    do_mkdirat(current, AT_FDCWD, getname(current, pathname), mode & 0xFFFF)
    return 0


@SYSCALL_DEFINE
def sys_symlink(current: task_struct, oldname: UserPtr, newname: UserPtr) -> int:
    """Make a symbolic link.  See symlink(2)."""
    target = getname(current, oldname)
    do_symlinkat(current, target, AT_FDCWD, getname(current, newname))
    return 0


@SYSCALL_DEFINE
def sys_symlinkat(current: task_struct, oldname: UserPtr, newdfd: Int, newname: UserPtr) -> int:
    """Make a symbolic link relative to a directory.  See symlinkat(2)."""
    target = getname(current, oldname)
    do_symlinkat(current, target, newdfd, getname(current, newname))
    return 0


@SYSCALL_DEFINE
def sys_mkdirat(current: task_struct, dfd: Int, pathname: UserPtr, mode: UInt) -> int:
    """Make a directory relative to another.  See mkdirat(2)."""
    do_mkdirat(current, dfd, getname(current, pathname), mode & 0xFFFF)
    return 0


@SYSCALL_DEFINE
def sys_rmdir(current: task_struct, pathname: UserPtr) -> int:
    """Remove an empty directory.  See rmdir(2)."""
    do_rmdir(current, AT_FDCWD, getname(current, pathname))
    return 0


@SYSCALL_DEFINE
def sys_unlink(current: task_struct, pathname: UserPtr) -> int:
    """Remove a name.  See unlink(2)."""
    do_unlinkat(current, AT_FDCWD, getname(current, pathname))
    return 0


@SYSCALL_DEFINE
def sys_unlinkat(current: task_struct, dfd: Int, pathname: UserPtr, flag: Int) -> int:
    """Remove a name relative to a directory, or with AT_REMOVEDIR a directory.  See unlinkat(2)."""
    if flag & ~AT_REMOVEDIR:
        raise SyscallError(Errno.EINVAL)
    name = getname(current, pathname)
    (do_rmdir if flag & AT_REMOVEDIR else do_unlinkat)(current, dfd, name)
    return 0
