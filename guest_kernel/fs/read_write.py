"""read(2), write(2) and their kin, from the call to the file's operations; lseek(2).

A read or write that the file's operations cannot finish because user memory faults returns what it
moved, and fails with EFAULT only if that is nothing; see :mod:`guest_kernel.mm.iov_iter`.

See: Linux fs/read_write.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.fcntl import O_APPEND, SEEK_CUR, SEEK_END, SEEK_HOLE, SEEK_SET
from guest_kernel.fs.file import fdget, fget, task_rlimit
from guest_kernel.fs.inode import file_remove_privs, inode_set_mctime_current
from guest_kernel.fs.operations import file_operations
from guest_kernel.layout.fs import (
    FMODE_CAN_READ,
    FMODE_CAN_WRITE,
    FMODE_LSEEK,
    FMODE_PREAD,
    FMODE_PWRITE,
    FMODE_READ,
    FMODE_STREAM,
    FMODE_WRITE,
    S_ISGID,
    S_ISUID,
    file,
)
from guest_kernel.layout.mm_types import TASK_SIZE_MAX
from guest_kernel.layout.sched import RLIMIT_FSIZE
from guest_kernel.mm.filemap import generic_perform_write
from guest_kernel.mm.iov_iter import (
    IOCB_APPEND,
    MAX_RW_COUNT,
    import_iovec,
    iov_iter,
    kiocb,
    kvec_iter,
)
from guest_kernel.signal.numbers import SIGXFSZ
from guest_kernel.signal.signal import send_sig
from guest_kernel.syscalls import SYSCALL_DEFINE, Long, UInt, ULong, UserPtr

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

_LLONG_MAX: Final = 0x7FFF_FFFF_FFFF_FFFF
_F_MODE: Final = file.offsetof("f_mode")
_F_OP: Final = file.offsetof("f_op")
_F_POS: Final = file.offsetof("f_pos")
_F_FLAGS: Final = file.offsetof("f_flags")


# ---- reading and writing


def vfs_read(f: file, to: iov_iter, pos: int) -> tuple[int, int]:
    """Read at ``pos``.

    Returns:
        The number of bytes, 0 at the end of the file; the position behind them.

    Raises:
        SyscallError: EBADF: not open for reading.  EINVAL: the file cannot be read, or the
            position is beyond all files.  EFAULT: at the first byte.  What the file says.
    """
    k, pa = f.k, f.pa
    mode = k.u32[(pa + _F_MODE) >> 2]
    if not mode & FMODE_READ:
        raise SyscallError(Errno.EBADF)
    if not mode & FMODE_CAN_READ:
        raise SyscallError(Errno.EINVAL)
    if pos + to.count > _LLONG_MAX:
        raise SyscallError(Errno.EINVAL)
    if to.count > MAX_RW_COUNT:
        to.iov_iter_truncate(MAX_RW_COUNT)
    iocb = kiocb(f, pos)
    n = file_operations(k.u64[(pa + _F_OP) >> 3]).read_iter(iocb, to)
    return n, iocb.ki_pos


def vfs_write(f: file, source: iov_iter, pos: int) -> tuple[int, int]:
    """Write at ``pos``, or at the end of the file if it is O_APPEND.

    Returns:
        The number of bytes; the position behind them.

    Raises:
        SyscallError: EBADF: not open for writing.  EINVAL: the file cannot be written, or the
            position is beyond all files.  EFAULT: at the first byte.  What the file says.
    """
    k, pa = f.k, f.pa
    mode = k.u32[(pa + _F_MODE) >> 2]
    if not mode & FMODE_WRITE:
        raise SyscallError(Errno.EBADF)
    if not mode & FMODE_CAN_WRITE:
        raise SyscallError(Errno.EINVAL)
    if pos + source.count > _LLONG_MAX:
        raise SyscallError(Errno.EINVAL)
    if source.count > MAX_RW_COUNT:
        source.iov_iter_truncate(MAX_RW_COUNT)
    iocb = kiocb(f, pos, IOCB_APPEND if k.u32[(pa + _F_FLAGS) >> 2] & O_APPEND else 0)
    n = file_operations(k.u64[(pa + _F_OP) >> 3]).write_iter(iocb, source)
    return n, iocb.ki_pos


def kernel_read(f: file, count: int, pos: int) -> bytes:
    """Read up to ``count`` bytes at ``pos`` for the kernel itself; fewer at the end of the file."""
    to = kvec_iter(f.k, count)
    vfs_read(f, to, pos)
    return to.data


def kernel_write(f: file, data: bytes | memoryview, pos: int) -> int:
    """Write ``data`` at ``pos`` for the kernel itself; return the number of bytes."""
    return vfs_write(f, kvec_iter(f.k, len(data), data), pos)[0]


def generic_write_checks(iocb: kiocb, source: iov_iter) -> None:
    """Find where a write to a regular file goes, and cut it at the limits.

    Raises:
        SyscallError: EFBIG: it begins at or behind the file system's limit, or RLIMIT_FSIZE, and
            then SIGXFSZ is sent.
    """
    f = iocb.ki_filp
    node = f.f_inode
    if iocb.ki_flags & IOCB_APPEND:
        iocb.ki_pos = node.i_size
    current = f.k.current()
    limit, most = task_rlimit(current, RLIMIT_FSIZE), node.i_sb.s_maxbytes
    if iocb.ki_pos >= limit:
        send_sig(SIGXFSZ, current)
        raise SyscallError(Errno.EFBIG)
    if iocb.ki_pos >= most:
        raise SyscallError(Errno.EFBIG)
    limit = min(limit, most)
    source.iov_iter_truncate(limit - iocb.ki_pos)


def generic_file_write_iter(iocb: kiocb, source: iov_iter) -> int:
    """Write into the page cache of a regular file.

    Raises:
        SyscallError: EFBIG, EFAULT, ENOMEM; see ``generic_perform_write``.
    """
    if not source.count:
        return 0
    generic_write_checks(iocb, source)
    node = iocb.ki_filp.f_inode
    if node.i_mode & (S_ISUID | S_ISGID):
        file_remove_privs(node, node.k.current())
    inode_set_mctime_current(node)
    return generic_perform_write(iocb, source)


# ---- seeking


def vfs_setpos(f: file, offset: int, maxsize: int) -> int:
    """Set the position.

    Raises:
        SyscallError: EINVAL: it is negative or behind ``maxsize``.
    """
    if not 0 <= offset <= maxsize:
        raise SyscallError(Errno.EINVAL)
    f.k.i64[(f.pa + _F_POS) >> 3] = offset
    return offset


def generic_file_llseek(f: file, offset: int, whence: int) -> int:
    """Set the position in a regular file; all of it counts as data, with a hole at its end.

    Raises:
        SyscallError: EINVAL: the position is negative or beyond all files.  ENXIO: SEEK_DATA or
            SEEK_HOLE at or behind the end.
    """
    node = f.f_inode
    if whence == SEEK_END:
        offset += node.i_size
    elif whence == SEEK_CUR:
        offset += f.f_pos
    elif whence != SEEK_SET:
        if not 0 <= offset < node.i_size:
            raise SyscallError(Errno.ENXIO)
        if whence == SEEK_HOLE:
            offset = node.i_size
    return vfs_setpos(f, offset, node.i_sb.s_maxbytes)


def stream_open(f: file) -> None:
    """Make a file that is being opened one without a position: lseek() and pread() are ESPIPE."""
    f.f_mode = f.f_mode & ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE) | FMODE_STREAM


# System calls


@SYSCALL_DEFINE
def sys_read(current: task_struct, fd: UInt, buf: UserPtr, count: ULong) -> int:
    """Read from a file at its position.  See read(2)."""
    f = fdget(current, fd)
    if buf + count > TASK_SIZE_MAX:
        _refuse_buffer(f, FMODE_READ, FMODE_CAN_READ)
    k = current.k
    at = (f.pa + _F_POS) >> 3
    n, k.i64[at] = vfs_read(f, iov_iter(k, buf, count), k.i64[at])
    return n


@SYSCALL_DEFINE
def sys_write(current: task_struct, fd: UInt, buf: UserPtr, count: ULong) -> int:
    """Write to a file at its position.  See write(2)."""
    f = fdget(current, fd)
    if buf + count > TASK_SIZE_MAX:
        _refuse_buffer(f, FMODE_WRITE, FMODE_CAN_WRITE)
    k = current.k
    at = (f.pa + _F_POS) >> 3
    n, k.i64[at] = vfs_write(f, iov_iter(k, buf, count), k.i64[at])
    return n


def _refuse_buffer(f: file, opened: int, can: int) -> None:
    """Fail as read() and write() do when the buffer leaves user space."""
    mode = f.f_mode
    if not mode & opened:
        raise SyscallError(Errno.EBADF)
    raise SyscallError(Errno.EFAULT if mode & can else Errno.EINVAL)


@SYSCALL_DEFINE
def sys_pread64(current: task_struct, fd: UInt, buf: UserPtr, count: ULong, pos: Long) -> int:
    """Read from a file at ``pos``.  See pread(2)."""
    if pos < 0:
        raise SyscallError(Errno.EINVAL)
    f = fget(current, fd)
    if not f.f_mode & FMODE_PREAD:
        raise SyscallError(Errno.ESPIPE)
    if buf + count > TASK_SIZE_MAX:
        _refuse_buffer(f, FMODE_READ, FMODE_CAN_READ)
    return vfs_read(f, iov_iter(current.k, buf, count), pos)[0]


@SYSCALL_DEFINE
def sys_pwrite64(current: task_struct, fd: UInt, buf: UserPtr, count: ULong, pos: Long) -> int:
    """Write to a file at ``pos`` (O_APPEND: at its end).  See pwrite(2)."""
    if pos < 0:
        raise SyscallError(Errno.EINVAL)
    f = fget(current, fd)
    if not f.f_mode & FMODE_PWRITE:
        raise SyscallError(Errno.ESPIPE)
    if buf + count > TASK_SIZE_MAX:
        _refuse_buffer(f, FMODE_WRITE, FMODE_CAN_WRITE)
    return vfs_write(f, iov_iter(current.k, buf, count), pos)[0]


@SYSCALL_DEFINE
def sys_readv(current: task_struct, fd: UInt, vec: UserPtr, vlen: UInt) -> int:
    """Read into several buffers.  See readv(2)."""
    f = fdget(current, fd)
    k, at = current.k, (f.pa + _F_POS) >> 3
    mode = f.f_mode
    if not mode & FMODE_READ:
        raise SyscallError(Errno.EBADF)
    if not mode & FMODE_CAN_READ:
        raise SyscallError(Errno.EINVAL)
    to = import_iovec(k, vec, vlen)
    if not to.count:
        return 0
    n, k.i64[at] = vfs_read(f, to, k.i64[at])
    return n


@SYSCALL_DEFINE
def sys_writev(current: task_struct, fd: UInt, vec: UserPtr, vlen: UInt) -> int:
    """Write several buffers.  See writev(2)."""
    f = fdget(current, fd)
    k, at = current.k, (f.pa + _F_POS) >> 3
    mode = f.f_mode
    if not mode & FMODE_WRITE:
        raise SyscallError(Errno.EBADF)
    if not mode & FMODE_CAN_WRITE:
        raise SyscallError(Errno.EINVAL)
    source = import_iovec(k, vec, vlen)
    if not source.count:
        return 0
    n, k.i64[at] = vfs_write(f, source, k.i64[at])
    return n


@SYSCALL_DEFINE
def sys_lseek(current: task_struct, fd: UInt, offset: Long, whence: UInt) -> int:
    """Set a file's position.  See lseek(2)."""
    f = fget(current, fd)
    if whence > SEEK_HOLE:
        raise SyscallError(Errno.EINVAL)
    k, pa = f.k, f.pa
    if not k.u32[(pa + _F_MODE) >> 2] & FMODE_LSEEK:
        raise SyscallError(Errno.ESPIPE)
    return file_operations(k.u64[(pa + _F_OP) >> 3]).llseek(f, offset, whence)
