"""Mounts: how file systems make up one tree.

There is one mount namespace, and nothing is unmounted yet.

See: Linux fs/namespace.c; Documentation/filesystems/sharedsubtree.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.dcache import dget, dput
from guest_kernel.fs.super import get_tree_nodev
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import (
    DCACHE_CANT_MOUNT,
    DCACHE_MOUNTED,
    MNT_NOEXEC,
    MNT_READONLY,
    MNT_RELATIME,
    SB_RDONLY,
    Ops,
    dentry,
    fs_data,
    mount,
    path,
    vfsmount,
)
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    hlist_add_head,
    hlist_for_each_entry,
    list_add_tail,
)
from guest_kernel.mm.slab import kzalloc

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_MNT_COUNT: int = mount.offsetof("mnt_count") - mount.offsetof("mnt")


_D_COUNT: int = dentry.offsetof("d_lockref.count")
_MNT_OFFSET: int = mount.offsetof("mnt")


def real_mount(mnt: vfsmount) -> mount:
    """Return the mount around its public part."""
    return mount(mnt.k, mnt.pa - _MNT_OFFSET)


class Place(NamedTuple):
    """A ``struct path`` while a handler runs: where one is, in references and not in RAM."""

    mnt: vfsmount
    dentry: dentry


def path_get(place: Place) -> Place:
    """Take a reference to a mount and a dentry."""
    mnt, d = place
    i32 = mnt.k.i32
    i32[(mnt.pa + _MNT_COUNT) >> 2] += 1
    i32[(d.pa + _D_COUNT) >> 2] += 1
    return place


def path_put(place: Place) -> None:
    """Drop what ``path_get`` took."""
    dput(place.dentry)
    mntput(place.mnt)


def path_get_pa(k: Kernel, pa: int) -> None:
    """Take a reference to what the ``struct path`` at a physical address names."""
    u64, i32 = k.u64, k.i32
    i32[((u64[pa >> 3] & PHYSICAL_MASK) + _MNT_COUNT) >> 2] += 1
    i32[((u64[(pa >> 3) + 1] & PHYSICAL_MASK) + _D_COUNT) >> 2] += 1


def path_put_pa(k: Kernel, pa: int) -> None:
    """Drop a reference to what the ``struct path`` at a physical address names."""
    u64, i32 = k.u64, k.i32
    mnt, d = u64[pa >> 3] & PHYSICAL_MASK, u64[(pa >> 3) + 1] & PHYSICAL_MASK
    count = (d + _D_COUNT) >> 2
    if i32[count] > 1:
        i32[count] -= 1
    else:
        dput(dentry(k, d))
    count = (mnt + _MNT_COUNT) >> 2
    if i32[count] > 1:
        i32[count] -= 1
    else:
        mntput(vfsmount(k, mnt))


def load_path(p: path) -> Place:
    """Return what a ``struct path`` in RAM names; takes no reference."""
    k = p.k
    u64, at = k.u64, p.pa >> 3
    return Place(
        vfsmount(k, u64[at] & PHYSICAL_MASK), dentry(k, u64[at + 1] & PHYSICAL_MASK)
    )


def store_path(p: path, place: Place) -> None:
    """Set a ``struct path`` in RAM; the caller's reference goes with it."""
    p.mnt, p.dentry = place.mnt, place.dentry


def mntget(mnt: vfsmount) -> vfsmount:
    """Take a reference to a mount."""
    mnt.k.i32[(mnt.pa + _MNT_COUNT) >> 2] += 1
    return mnt


def mntput(mnt: vfsmount) -> None:
    """Drop a reference to a mount.  The mount tree holds one, so none is the last."""
    i32, at = mnt.k.i32, (mnt.pa + _MNT_COUNT) >> 2
    i32[at] -= 1
    if i32[at] <= 0:
        BUG(f"mount {mnt!r}: reference count is {i32[at]}")


def mnt_init(k: Kernel, kind: Ops = Ops.ROOTFS_TYPE) -> mount:
    """Make the first mount, the root of the tree.  See Linux init_mount_tree()."""
    data = k.data(fs_data)
    INIT_LIST_HEAD(data.super_blocks)
    INIT_LIST_HEAD(data.mounts)
    m = vfs_kern_mount(k, kind, b"rootfs")
    list_add_tail(m.mnt_list, data.mounts)
    data.root_mnt = m
    return m


def vfs_kern_mount(k: Kernel, kind: Ops, devname: bytes) -> mount:
    """Make a file system and a mount of it, which is nowhere in the tree yet."""
    sb = get_tree_nodev(k, kind)
    root = sb.s_root
    assert root is not None
    data = k.data(fs_data)
    data.mnt_id += 1
    m = kzalloc(k, mount)
    m.mnt_parent = m
    m.mnt_mountpoint = root
    m.mnt.mnt_root = dget(root)
    m.mnt.mnt_sb = sb
    m.mnt.mnt_flags = MNT_RELATIME
    sb.s_active += 1
    m.mnt_count = 1
    m.mnt_id = data.mnt_id
    m.mnt_devname = devname
    INIT_LIST_HEAD(m.mnt_mounts)
    INIT_LIST_HEAD(m.mnt_child)
    return m


def kern_mount(k: Kernel, kind: Ops) -> mount:
    """Make a file system that only the kernel itself uses: its mount is never in the tree."""
    m = vfs_kern_mount(k, kind, b"none")
    m.mnt.mnt_flags = 0
    return m


def do_add_mount(m: mount, place: Place) -> None:
    """Put a fresh mount into the tree, over the directory ``place``.

    Raises:
        SyscallError: ENOENT: the directory has been removed.
    """
    point = place.dentry
    if point.d_flags & DCACHE_CANT_MOUNT:
        raise SyscallError(Errno.ENOENT)
    data = m.k.data(fs_data)
    parent = real_mount(place.mnt)
    m.mnt_parent = parent
    m.mnt_mountpoint = dget(point)
    mntget(place.mnt)
    point.d_flags |= DCACHE_MOUNTED
    list_add_tail(m.mnt_child, parent.mnt_mounts)
    list_add_tail(m.mnt_list, data.mounts)
    hlist_add_head(m.mnt_hash, data.mount_hashtable)


def lookup_mnt(mnt: vfsmount, point: dentry) -> mount | None:
    """Return what is mounted on a dentry, as seen through a mount; None: nothing is.

    Takes no reference.
    """
    parent = real_mount(mnt)
    for m in hlist_for_each_entry(mnt.k.data(fs_data).mount_hashtable, mount, "mnt_hash"):
        if m.mnt_mountpoint == point and m.mnt_parent == parent:
            return m
    return None


def is_local_mountpoint(d: dentry) -> bool:
    """Tell whether something is mounted on a dentry."""
    return bool(d.d_flags & DCACHE_MOUNTED)


def root_place(k: Kernel) -> Place:
    """Return the root of the tree; takes no reference."""
    root = k.data(fs_data).root_mnt
    assert root is not None
    return Place(root.mnt, root.mnt.mnt_root)


def mnt_want_write(mnt: vfsmount) -> None:
    """Check that a mount may be written to.

    Raises:
        SyscallError: EROFS.
    """
    if mnt.mnt_flags & MNT_READONLY or mnt.mnt_sb.s_flags & SB_RDONLY:
        raise SyscallError(Errno.EROFS)


def path_noexec(mnt: vfsmount) -> bool:
    """Tell whether no program may be run from a mount."""
    return bool(mnt.mnt_flags & MNT_NOEXEC)
