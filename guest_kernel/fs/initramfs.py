"""The initial RAM file system: a cpio archive in RAM becomes the contents of the root.

The contents of files are copied frame by frame from the archive into the page cache, so a large
file costs little more than its copy.  Afterwards the archive's own frames can be freed.

See: Linux init/initramfs.c; Documentation/filesystems/ramfs-rootfs-initramfs.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guest_kernel.errors import BUG
from guest_kernel.fs.cpio import CpioEntry, CpioError, read_cpio
from guest_kernel.fs.dcache import d_alloc, d_backing_inode, d_drop, d_lookup, dget, dput
from guest_kernel.fs.inode import S_ISDIR, S_ISREG
from guest_kernel.fs.namespace import root_place
from guest_kernel.fs.operations import inode_operations
from guest_kernel.layout.fs import (
    MKDEV,
    NAME_MAX,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    dentry,
    inode,
)
from guest_kernel.mm.filemap import filemap_add_pages, truncate_setsize

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel


def populate_rootfs(k: Kernel, pa: int, size: int) -> None:
    """Unpack the archive at physical address ``pa`` into the root file system.

    Raises:
        KernelPanic: it is malformed.
        OutOfFrames: it does not fit.
    """
    try:
        _unpack(root_place(k).dentry, k.u8[pa : pa + size])
    except CpioError as error:
        BUG(f"initramfs at {pa:#x}: {error}")


def _unpack(root: dentry, archive: memoryview) -> None:
    # (devmajor, devminor, ino, type) of files with several names: the first name's dentry.
    links: dict[tuple[int, int, int, int], dentry] = {}
    # Directory times are set last, because making an entry changes its directory's.
    directories: list[tuple[inode, int]] = []
    for entry in read_cpio(archive):
        name = entry.name.strip(b"/")
        if name == b".":
            d = root
        else:
            parent, last = _find_parent(root, name)
            d = _make(parent, last, entry, links)
        _fill(d, entry)
        if S_ISDIR(entry.mode):
            directories.append((d_backing_inode(d), entry.mtime))
    for node, mtime in directories:
        _set_mtime(node, mtime)


def _find_parent(root: dentry, name: bytes) -> tuple[dentry, bytes]:
    """Return the directory of an entry, and the last component of its name."""
    *parts, last = [part for part in name.split(b"/") if part != b"."]
    if b".." in parts or last in (b"..", b""):
        raise CpioError(f"{name!r} is not a plain path")
    if len(last) > NAME_MAX:
        raise CpioError(f"{last[:32]!r}... is longer than {NAME_MAX} bytes")
    d = root
    for part in parts:
        found = d_lookup(d, part)
        if found is None or not S_ISDIR(d_backing_inode(found).i_mode):
            raise CpioError(f"{name!r}: {part!r} is not a directory")
        d = found
    return d, last


def _make(
    parent: dentry, name: bytes, entry: CpioEntry,
    links: dict[tuple[int, int, int, int], dentry],
) -> dentry:
    """Make the name of an entry, in place of what has it; return its dentry, not referenced."""
    kind = entry.mode & S_IFMT
    directory = d_backing_inode(parent)
    operations = inode_operations(directory.i_op)
    old = d_lookup(parent, name)
    if old is not None:
        if kind == S_IFDIR and S_ISDIR(d_backing_inode(old).i_mode):
            return old
        if S_ISDIR(d_backing_inode(old).i_mode):
            raise CpioError(f"{entry.name!r} would replace a directory")
        dget(old)
        operations.unlink(directory, old)
        d_drop(old)
        dput(old)
    new = d_alloc(parent, name)
    try:
        key = (*entry.dev, entry.ino, kind)
        first = links.get(key) if entry.nlink > 1 and kind != S_IFDIR else None
        if first is not None:
            operations.link(first, directory, new)
        elif kind == S_IFDIR:
            operations.mkdir(directory, new, entry.mode, None)
        elif kind == S_IFLNK:
            target = bytes(entry.data)
            if not target or b"\0" in target:
                raise CpioError(f"{entry.name!r}: {target!r} cannot be a link's target")
            operations.symlink(directory, new, target, None)
        elif kind:
            operations.mknod(directory, new, entry.mode, MKDEV(*entry.rdev), None)
        else:
            raise CpioError(f"{entry.name!r}: mode {entry.mode:#o} has no type")
        if entry.nlink > 1 and kind != S_IFDIR:
            links.setdefault(key, new)
    finally:
        dput(new)
    return new


def _fill(d: dentry, entry: CpioEntry) -> None:
    """Set what an entry says of its inode, and copy its contents."""
    node = d_backing_inode(d)
    node.i_uid, node.i_gid = entry.uid, entry.gid
    if entry.mode & S_IFMT != S_IFLNK:
        node.i_mode = entry.mode
    if S_ISREG(entry.mode) and len(entry.data):
        truncate_setsize(node, 0)
        filemap_add_pages(node.i_mapping, 0, memoryview(entry.data))
        node.i_size = len(entry.data)
    _set_mtime(node, entry.mtime)


def _set_mtime(node: inode, mtime: int) -> None:
    node.i_mtime_sec = node.i_atime_sec = mtime
    node.i_mtime_nsec = node.i_atime_nsec = 0


