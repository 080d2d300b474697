"""Putting a host's file into the guest, between two host calls of the guest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_backing_inode
from guest_kernel.fs.fcntl import AT_FDCWD, O_CREAT, O_EXCL, O_WRONLY
from guest_kernel.fs.namei import do_mkdirat, do_symlinkat, do_unlinkat, kern_path
from guest_kernel.fs.namespace import path_put
from guest_kernel.fs.open import filp_open
from guest_kernel.kernel import Kernel
from guest_kernel.layout.fs import S_IFDIR, S_IFREG
from guest_kernel.layout.sched import sched_data, task_struct
from guest_kernel.mm.filemap import filemap_add_pages, fput


def install_file(k: Kernel, path: bytes, data: bytes, mode: int) -> None:
    """Make ``path`` anew, and the directories on its way; it is filled frame by frame.

    Who has the old file open or runs it keeps that.

    Args:
        path: absolute and normalised.
        mode: permission bits.

    Raises:
        OSError: the file system refuses it.
        OutOfFrames: it does not fit in RAM.
    """
    task = k.data(sched_data).init_task
    try:
        parts = path.strip(b"/").split(b"/")
        for depth in range(1, len(parts)):
            _mkdir(task, b"/" + b"/".join(parts[:depth]))
        with _without(Errno.ENOENT):
            do_unlinkat(task, AT_FDCWD, path)
        f = filp_open(task, path, O_WRONLY | O_CREAT | O_EXCL, mode)
        node = f.f_inode
        node.i_mode = S_IFREG | mode
        if data:
            filemap_add_pages(node.i_mapping, 0, memoryview(data))
            node.i_size = len(data)
        fput(f)
    except SyscallError as error:
        raise _os_error(error, path) from error


def install_directory(k: Kernel, path: bytes, mode: int) -> None:
    """Make the directory ``path``, or give the one that is there these permissions.

    Raises:
        OSError: the file system refuses it.
    """
    task = k.data(sched_data).init_task
    try:
        _mkdir(task, path)
        place = kern_path(task, path)
        d_backing_inode(place.dentry).i_mode = S_IFDIR | mode
        path_put(place)
    except SyscallError as error:
        raise _os_error(error, path) from error


def install_symlink(k: Kernel, path: bytes, target: bytes) -> None:
    """Make ``path`` a symbolic link; its directory is there.

    Raises:
        OSError: the file system refuses it.
    """
    task = k.data(sched_data).init_task
    try:
        with _without(Errno.ENOENT):
            do_unlinkat(task, AT_FDCWD, path)
        do_symlinkat(task, target, AT_FDCWD, path)
    except SyscallError as error:
        raise _os_error(error, path) from error


def _os_error(error: SyscallError, path: bytes) -> OSError:
    return OSError(error.errno, os.strerror(error.errno), path.decode("utf-8", "replace"))


def exists(k: Kernel, path: bytes) -> bool:
    """Tell whether the guest has a file ``path``."""
    try:
        path_put(kern_path(k.data(sched_data).init_task, path))
    except SyscallError:
        return False
    return True


def _mkdir(task: task_struct, path: bytes) -> None:
    with _without(Errno.EEXIST):
        do_mkdirat(task, AT_FDCWD, path, 0o755)


@contextmanager
def _without(errno: Errno) -> Iterator[None]:
    """Pass over a failure of this kind."""
    try:
        yield
    except SyscallError as error:
        if error.errno != errno:
            raise
