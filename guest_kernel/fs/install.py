"""Putting a host's file into the guest, between two host calls of the guest."""

from __future__ import annotations

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.fcntl import AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY
from guest_kernel.fs.namei import do_mkdirat, kern_path
from guest_kernel.fs.namespace import path_put
from guest_kernel.fs.open import filp_open
from guest_kernel.kernel import Kernel
from guest_kernel.layout.fs import S_IFREG
from guest_kernel.layout.sched import sched_data, task_struct
from guest_kernel.mm.filemap import filemap_add_pages, fput


def install_file(k: Kernel, path: bytes, data: bytes, mode: int) -> None:
    """Make ``path``, and the directories on its way; it is filled frame by frame.

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
        f = filp_open(task, path, O_WRONLY | O_CREAT | O_TRUNC, mode)
        node = f.f_inode
        node.i_mode = S_IFREG | mode
        if data:
            filemap_add_pages(node.i_mapping, 0, memoryview(data))
            node.i_size = len(data)
        fput(f)
    except SyscallError as error:
        raise OSError(error.errno, error.errno.name, path.decode("utf-8", "replace")) from error


def exists(k: Kernel, path: bytes) -> bool:
    """Tell whether the guest has a file ``path``."""
    try:
        path_put(kern_path(k.data(sched_data).init_task, path))
    except SyscallError:
        return False
    return True


def _mkdir(task: task_struct, path: bytes) -> None:
    try:
        do_mkdirat(task, AT_FDCWD, path, 0o755)
    except SyscallError as error:
        if error.errno != Errno.EEXIST:
            raise
