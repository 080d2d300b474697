"""getdents64(2).

See: Linux fs/readdir.c; getdents(2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.file import fget
from guest_kernel.fs.inode import file_accessed
from guest_kernel.fs.operations import file_operations
from guest_kernel.layout.fs import S_DEAD, S_IFMT
from guest_kernel.mm.uaccess import copy_to_user
from guest_kernel.syscalls import SYSCALL_DEFINE, UInt, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

# struct linux_dirent64: d_ino d_off d_reclen d_type; d_name follows, NUL-terminated.
DIRENT64: Final = struct.Struct("<QqHB")
_D_OFF: Final = struct.Struct("<q")
_OFFSET_OF_D_OFF: Final = 8


class getdents_callback64:
    """A ``dir_context`` that writes ``struct linux_dirent64``s to user memory.

    ``d_off`` of an entry is the position of the next one, which is known when that comes.

    Attributes:
        pos: position of the entry at hand.
        count: bytes left of the buffer.
        error: why the last entry was refused.
    """

    def __init__(self, k: Kernel, va: int, count: int, pos: int) -> None:
        self.k = k
        self.pos = pos
        self.count = count
        self.error: Errno | None = None
        self._va = va
        self._last = 0  # user address of the entry before

    def emit(self, name: bytes, ino: int, mode: int) -> bool:
        reclen = (DIRENT64.size + len(name) + 1 + 7) & ~7
        if reclen > self.count:
            self.error = Errno.EINVAL
            return False
        entry = DIRENT64.pack(ino, 0, reclen, (mode & S_IFMT) >> 12) + name
        try:
            self.finish()
            copy_to_user(self.k, self._va, entry.ljust(reclen, b"\0"))
        except SyscallError as error:
            self.error = error.errno
            return False
        self._last = self._va
        self._va += reclen
        self.count -= reclen
        return True

    def finish(self) -> None:
        """Store ``d_off`` of the last entry: the position at hand."""
        if self._last:
            copy_to_user(self.k, self._last + _OFFSET_OF_D_OFF, _D_OFF.pack(self.pos))


# System calls


@SYSCALL_DEFINE
def sys_getdents64(current: task_struct, fd: UInt, dirent: UserPtr, count: UInt) -> int:
    """Read entries of a directory.  See getdents64(2)."""
    f = fget(current, fd)
    operations = file_operations(f.f_op)
    if "iterate_shared" not in operations.provides:
        raise SyscallError(Errno.ENOTDIR)
    if f.f_inode.i_flags & S_DEAD:
        raise SyscallError(Errno.ENOENT)
    ctx = getdents_callback64(current.k, dirent, count, f.f_pos)
    operations.iterate_shared(f, ctx)
    f.f_pos = ctx.pos
    file_accessed(f)
    if ctx.count == count:
        if ctx.error is not None:
            raise SyscallError(ctx.error)
        return 0
    ctx.finish()
    return count - ctx.count
