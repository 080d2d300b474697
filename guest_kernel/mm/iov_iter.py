"""``iov_iter``: the memory that a read or write goes to or comes from, consumed from the front.

Its copies are partial where user memory faults: they move what they can, in order, and return how
much that was; only who copied nothing answers EFAULT.  An iterator lives as long as one try of
one system call, so it is a Python object and not in RAM.

See: Linux include/linux/uio.h, lib/iov_iter.c; readv(2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import TASK_SIZE_MAX
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.fs import file

MAX_RW_COUNT: Final = 0x7FFF_F000  # no read or write moves more bytes at once
UIO_MAXIOV: Final = 1024
_ZEROS: Final = bytes(PAGE_SIZE)

# ki_flags
IOCB_APPEND: Final = 1 << 1  # O_APPEND: at the end, wherever that is


class kiocb:
    """One read or write of a file.

    Attributes:
        ki_filp: the file.
        ki_pos: where, in bytes; moved by the operation.
        ki_flags: IOCB_*.
    """

    __slots__ = ("ki_filp", "ki_flags", "ki_pos")

    def __init__(self, ki_filp: file, ki_pos: int, ki_flags: int = 0) -> None:
        self.ki_filp = ki_filp
        self.ki_pos = ki_pos
        self.ki_flags = ki_flags


class iov_iter:
    """User memory: one range, or several.

    Attributes:
        count: bytes left.
    """

    __slots__ = ("_base", "_rest", "_room", "count", "k")

    def __init__(self, k: Kernel, base: int, count: int) -> None:
        """Describe ``count`` bytes at user address ``base``; they do not leave user space."""
        self.k = k
        self.count = count
        self._base = base
        self._room = count  # bytes left of the range at hand
        self._rest: list[tuple[int, int]] = []  # the ranges after it, last first

    @classmethod
    def of_segments(cls, k: Kernel, segments: Iterable[tuple[int, int]]) -> iov_iter:
        """Describe several ranges, each an address and a size."""
        i = cls(k, 0, 0)
        i._rest = [s for s in segments if s[1]][::-1]
        i.count = sum(size for _, size in i._rest)
        return i

    def copy_to_iter(self, data: bytes | bytearray | memoryview) -> int:
        """Store ``data``; return the bytes stored, fewer at a fault or at the iterator's end."""
        size = len(data)
        if size <= self._room:
            try:
                copy_to_user(self.k, self._base, data)
            except SyscallError as error:
                size = copied(error)
            self._base += size
            self._room -= size
            self.count -= size
            return size
        done = 0
        while done < size and self._next_range():
            step = min(size - done, self._room)
            moved = self.copy_to_iter(data[done : done + step])
            done += moved
            if moved < step:
                break
        return done

    def copy_from_iter(self, size: int) -> bytes:
        """Take ``size`` bytes; return them, fewer at a fault or at the iterator's end."""
        if size <= self._room:
            try:
                data = copy_from_user(self.k, self._base, size)
            except SyscallError as error:
                size = copied(error)
                data = copy_from_user(self.k, self._base, size) if size else b""
            self._base += size
            self._room -= size
            self.count -= size
            return data
        pieces, done = [], 0
        while done < size and self._next_range():
            step = min(size - done, self._room)
            piece = self.copy_from_iter(step)
            pieces.append(piece)
            done += len(piece)
            if len(piece) < step:
                break
        return b"".join(pieces)

    def iov_iter_zero(self, size: int) -> int:
        """Store ``size`` zeros; return the bytes stored."""
        done = 0
        while done < size:
            step = min(size - done, PAGE_SIZE)
            moved = self.copy_to_iter(_ZEROS[:step])
            done += moved
            if moved < step:
                break
        return done

    def iov_iter_truncate(self, size: int) -> None:
        """Forget what is behind the next ``size`` bytes."""
        if size >= self.count:
            return
        self.count = size
        self._room = min(self._room, size)
        size -= self._room
        kept = []
        for base, room in reversed(self._rest):
            if not size:
                break
            kept.append((base, min(room, size)))
            size -= kept[-1][1]
        self._rest = kept[::-1]

    def iov_iter_advance(self, size: int) -> None:
        """Skip ``size`` bytes; no more than are left."""
        self.count -= size
        while size and self._next_range():
            step = min(size, self._room)
            self._base += step
            self._room -= step
            size -= step

    def _next_range(self) -> bool:
        """Make sure that the range at hand has bytes left; False: there are none."""
        if self._room:
            return True
        if not self._rest:
            return False
        self._base, self._room = self._rest.pop()
        return True


class kvec_iter(iov_iter):
    """Memory of the kernel's own handlers: a read collects bytes, a write gives them."""

    __slots__ = ("_data",)

    def __init__(self, k: Kernel, count: int, source: bytes | memoryview = b"") -> None:
        super().__init__(k, 0, count)
        self._data = bytearray(source)

    @property
    def data(self) -> bytes:
        """The bytes that a read has stored."""
        return bytes(self._data)

    def copy_to_iter(self, data: bytes | bytearray | memoryview) -> int:
        data = data[: self.count]
        self._data += data
        self.count -= len(data)
        return len(data)

    def copy_from_iter(self, size: int) -> bytes:
        data = bytes(self._data[: min(size, self.count)])
        self.iov_iter_advance(len(data))
        return data

    def iov_iter_advance(self, size: int) -> None:
        del self._data[:size]
        self.count -= size

    def iov_iter_truncate(self, size: int) -> None:
        self.count = min(size, self.count)


def copied(error: SyscallError) -> int:
    """Return how many bytes a faulting user copy moved.

    Raises:
        SyscallError: it did not fail with EFAULT.
    """
    if error.errno is not Errno.EFAULT:
        raise error
    moved: int = getattr(error, "copied", 0)
    return moved


def import_ubuf(k: Kernel, va: int, size: int) -> iov_iter:
    """Describe one user buffer.

    Raises:
        SyscallError: EFAULT: it leaves user space.
    """
    size = min(size, MAX_RW_COUNT)
    if va + size > TASK_SIZE_MAX:
        raise SyscallError(Errno.EFAULT)
    return iov_iter(k, va, size)


def import_iovec(k: Kernel, uvec: int, nr_segs: int) -> iov_iter:
    """Describe the user buffers of an array of ``struct iovec``.

    Raises:
        SyscallError: EINVAL: more than UIO_MAXIOV of them, or one's size is negative as a
            ``ssize_t``.  EFAULT: the array or a buffer leaves user space.
    """
    if nr_segs > UIO_MAXIOV:
        raise SyscallError(Errno.EINVAL)
    if nr_segs == 0:
        return iov_iter(k, 0, 0)
    words = memoryview(copy_from_user(k, uvec, nr_segs * 16)).cast("Q")
    if nr_segs == 1:
        if words[1] >> 63:
            raise SyscallError(Errno.EINVAL)
        return import_ubuf(k, words[0], words[1])
    if any(words[i] >> 63 for i in range(1, 2 * nr_segs, 2)):
        raise SyscallError(Errno.EINVAL)
    segments, total = [], 0
    for i in range(0, 2 * nr_segs, 2):
        va, size = words[i], words[i + 1]
        if va + size > TASK_SIZE_MAX:
            raise SyscallError(Errno.EFAULT)
        size = min(size, MAX_RW_COUNT - total)
        total += size
        segments.append((va, size))
    return iov_iter.of_segments(k, segments)
