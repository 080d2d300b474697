"""The memory devices: /dev/null, /dev/zero, /dev/full, /dev/random, /dev/urandom.

Random bytes come from ``k.get_random_bytes(n)``, which the kernel's generator provides.

Limits:
    Writes to the random devices are read and then forgotten: what the
    generator gives depends on its seed alone.

See: Linux drivers/char/mem.c, drivers/char/random.c; null(4), full(4), random(4).
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.char_dev import register_chrdev
from guest_kernel.fs.operations import FileOperations
from guest_kernel.layout.fs import Ops, file
from guest_kernel.mm.iov_iter import iov_iter, kiocb

MEM_MAJOR: Final = 1
_RANDOM_CHUNK: Final = 4096


class NullOperations(FileOperations, ops=Ops.NULL_FOPS):
    """null_fops."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        return 0

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        return source.count

    def llseek(self, f: file, offset: int, whence: int) -> int:
        f.f_pos = 0
        return 0


class ZeroOperations(FileOperations, ops=Ops.ZERO_FOPS):
    """zero_fops."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        if not to.count:
            return 0
        n = to.iov_iter_zero(to.count)
        if not n:
            raise SyscallError(Errno.EFAULT)
        return n

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        return source.count

    def llseek(self, f: file, offset: int, whence: int) -> int:
        f.f_pos = 0
        return 0


class FullOperations(ZeroOperations, ops=Ops.FULL_FOPS):
    """full_fops."""

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        raise SyscallError(Errno.ENOSPC)


class RandomOperations(FileOperations, ops=Ops.RANDOM_FOPS):
    """random_fops: the generator is seeded before the first program runs, so nothing blocks."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        done = 0
        while to.count:
            size = min(to.count, _RANDOM_CHUNK)
            moved = to.copy_to_iter(to.k.get_random_bytes(size))
            done += moved
            if moved < size:
                if not done:
                    raise SyscallError(Errno.EFAULT)
                break
        return done

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        done = 0
        while source.count:
            size = min(source.count, _RANDOM_CHUNK)
            moved = len(source.copy_from_iter(size))
            done += moved
            if moved < size:
                if not done:
                    raise SyscallError(Errno.EFAULT)
                break
        return done

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return f.f_pos

    def unlocked_ioctl(self, current: object, f: file, cmd: int, arg: int) -> int:
        raise SyscallError(Errno.EINVAL)


class UrandomOperations(RandomOperations, ops=Ops.URANDOM_FOPS):
    """urandom_fops."""


register_chrdev(MEM_MAJOR, 3, "null", Ops.NULL_FOPS)
register_chrdev(MEM_MAJOR, 5, "zero", Ops.ZERO_FOPS)
register_chrdev(MEM_MAJOR, 7, "full", Ops.FULL_FOPS)
register_chrdev(MEM_MAJOR, 8, "random", Ops.RANDOM_FOPS)
register_chrdev(MEM_MAJOR, 9, "urandom", Ops.URANDOM_FOPS)
