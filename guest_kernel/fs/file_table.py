"""``struct file``: open files, their making and their end.

See: Linux fs/file_table.c, fs/open.c (do_dentry_open).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_backing_inode
from guest_kernel.fs.fcntl import (
    O_ACCMODE,
    O_CREAT,
    O_DIRECT,
    O_EXCL,
    O_NOCTTY,
    O_PATH,
    O_TRUNC,
)
from guest_kernel.fs.inode import get_write_access, put_write_access, special_file
from guest_kernel.fs.namespace import Place, load_path, path_get, path_put, store_path
from guest_kernel.fs.operations import file_operations
from guest_kernel.layout.fs import (
    FMODE_CAN_ODIRECT,
    FMODE_CAN_READ,
    FMODE_CAN_WRITE,
    FMODE_LSEEK,
    FMODE_OPENED,
    FMODE_PATH,
    FMODE_PREAD,
    FMODE_PWRITE,
    FMODE_READ,
    FMODE_WRITE,
    FMODE_WRITER,
    Ops,
    file,
    fs_data,
    inode,
)
from guest_kernel.mm.filemap import register_release_file
from guest_kernel.mm.slab import kfree, kzalloc

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

def OPEN_FMODE(flags: int) -> int:
    """Return FMODE_READ and FMODE_WRITE for open flags; neither for O_ACCMODE itself."""
    return (flags + 1) & O_ACCMODE


def alloc_empty_file(k: Kernel, flags: int) -> file:
    """Make a file that is not open yet, with one reference."""
    f = kzalloc(k, file)
    f.f_count = 1
    f.f_flags = flags
    f.f_mode = OPEN_FMODE(flags)
    k.data(fs_data).nr_files += 1
    return f


def free_empty_file(f: file) -> None:
    """Free a file that ``vfs_open`` has not opened."""
    f.k.data(fs_data).nr_files -= 1
    kfree(f)


def vfs_open(place: Place, f: file) -> None:
    """Open ``f`` at a place, of which it takes a reference.  Permissions have been checked.

    Raises:
        SyscallError: ETXTBSY: for writing, and it is being run.  EINVAL: O_DIRECT is not possible.
            What the file's own open says.  ``f`` is not open then.
    """
    node = d_backing_inode(place.dentry)
    path_get(place)
    store_path(f.f_path, place)
    f.f_inode = node
    f.f_mapping = node.i_mapping
    flags = f.f_flags
    if flags & O_PATH:
        f.f_mode = FMODE_PATH | FMODE_OPENED
        f.f_op = Ops.EMPTY_FOPS
        return
    try:
        _count_user(f, node)
        f.f_op = fops = node.i_fop
        f.f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE
        file_operations(fops).open(node, f)
    except BaseException:
        _uncount_user(f)
        path_put(place)
        raise
    # open() may have put other operations there.
    mode = f.f_mode | FMODE_OPENED | _can(f.f_mode, f.f_op)
    if "llseek" not in file_operations(f.f_op).provides:
        mode &= ~FMODE_LSEEK
    f.f_mode = mode
    f.f_flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)
    if flags & O_DIRECT and not mode & FMODE_CAN_ODIRECT:
        _close(f)
        raise SyscallError(Errno.EINVAL)


def file_init_path(f: file, place: Place, fops: Ops) -> None:
    """Open ``f`` on an anonymous inode, a pipe's for one; takes a reference to ``place``.

    Nothing of it can fail, so whoever makes several files makes them all first.
    """
    node = d_backing_inode(place.dentry)
    path_get(place)
    store_path(f.f_path, place)
    f.f_inode = node
    f.f_mapping = node.i_mapping
    f.f_op = fops
    _count_user(f, node)
    f.f_mode |= FMODE_OPENED | _can(f.f_mode, fops)


def _can(mode: int, fops: int) -> int:
    """Return the FMODE_CAN_* of a file that is open with ``mode``."""
    provides = file_operations(fops).provides
    can = 0
    if mode & FMODE_READ and "read_iter" in provides:
        can |= FMODE_CAN_READ
    if mode & FMODE_WRITE and "write_iter" in provides:
        can |= FMODE_CAN_WRITE
    return can


def _count_user(f: file, node: inode) -> None:
    """Count an open file in its inode as a reader or a writer."""
    mode = f.f_mode
    if mode & (FMODE_READ | FMODE_WRITE) == FMODE_READ:
        node.i_readcount += 1
    elif mode & FMODE_WRITE and not special_file(node.i_mode):
        get_write_access(node)
        f.f_mode = mode | FMODE_WRITER


def _uncount_user(f: file) -> None:
    mode = f.f_mode
    if mode & (FMODE_READ | FMODE_WRITE) == FMODE_READ:
        f.f_inode.i_readcount -= 1
    elif mode & FMODE_WRITER:
        put_write_access(f.f_inode)
        f.f_mode = mode & ~FMODE_WRITER


def _close(f: file) -> None:
    """Undo ``vfs_open``."""
    if not f.f_mode & FMODE_PATH:
        file_operations(f.f_op).release(f.f_inode, f)
        _uncount_user(f)
    f.f_mode &= ~FMODE_OPENED
    path_put(load_path(f.f_path))


def _fput_final(f: file) -> None:
    """Free a file without references.  See Linux __fput()."""
    if f.f_mode & FMODE_OPENED:
        _close(f)
    free_empty_file(f)


register_release_file(_fput_final)
