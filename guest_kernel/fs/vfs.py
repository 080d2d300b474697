"""Start of the file systems: their tables, the first mount, /proc.

Importing this module imports every file system and every table of operations that the kernel has,
so a kernel that was made anew for a RAM image finds all that the image names.

See: Linux fs/dcache.c vfs_caches_init(), init/do_mounts.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guest_kernel.fs import (
    char_dev,
    d_path,
    ioctl,
    mem,
    open,
    pipe,
    poll,
    proc,
    proc_maps,
    proc_sysctl,
    ramfs,
    readdir,
    select,
    stat,
)
from guest_kernel.fs.dcache import d_alloc, d_backing_inode, d_lookup, dcache_init, dput
from guest_kernel.fs.namespace import Place, do_add_mount, mnt_init, root_place, vfs_kern_mount
from guest_kernel.fs.operations import inode_operations
from guest_kernel.fs.pipe import init_pipe_fs
from guest_kernel.layout.fs import S_IFDIR, Ops, dentry

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# Imported for what they register.
MODULES = (char_dev, d_path, ioctl, mem, open, pipe, poll, proc, proc_maps, proc_sysctl, ramfs,
           readdir, stat)

# Imported for its system calls alone.
CALLS = (select,)


def vfs_caches_init(k: Kernel) -> None:
    """Set up the dentry cache and mount an empty root file system."""
    dcache_init(k)
    mnt_init(k)
    init_pipe_fs(k)


def mount_proc(k: Kernel) -> None:
    """Mount proc on /proc, which is made if it is not there."""
    root = root_place(k)
    point = d_lookup(root.dentry, b"proc") or _mkdir(root.dentry, b"proc")
    do_add_mount(vfs_kern_mount(k, Ops.PROC_TYPE, b"proc"), Place(root.mnt, point))


def _mkdir(parent: dentry, name: bytes) -> dentry:
    directory = d_backing_inode(parent)
    new = d_alloc(parent, name)
    try:
        inode_operations(directory.i_op).mkdir(directory, new, S_IFDIR | 0o555, None)
    finally:
        dput(new)
    return new
