"""getrandom(2): bytes of the machine's own generator, ``Kernel.get_random_bytes``.

They depend on the seed and on how many were asked for before, on nothing else.

See: Linux drivers/char/random.c get_random_bytes_user(); random(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import TASK_SIZE_MAX
from guest_kernel.mm.iov_iter import MAX_RW_COUNT
from guest_kernel.mm.uaccess import UserAccessError, copy_to_user
from guest_kernel.syscalls import SYSCALL_DEFINE, UInt, ULong, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

GRND_NONBLOCK: Final = 1  # the generator is always ready, so these three are one
GRND_RANDOM: Final = 2
GRND_INSECURE: Final = 4

_CHUNK: Final = 4096


def get_random_bytes_user(k: Kernel, va: int, n: int) -> int:
    """Fill user memory with random bytes, as far as it can be written.

    Returns:
        The number of bytes.

    Raises:
        SyscallError: EFAULT: not even the first can be written.
    """
    done = 0
    while done < n:
        part = min(n - done, _CHUNK)
        try:
            copy_to_user(k, va + done, k.get_random_bytes(part))
        except UserAccessError as error:
            done += error.copied
            if not done:
                raise
            break
        done += part
    return done


# System calls


@SYSCALL_DEFINE
def sys_getrandom(current: task_struct, ubuf: UserPtr, length: ULong, flags: UInt) -> int:
    """Fill a buffer with random bytes.  See getrandom(2)."""
    if flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE):
        raise SyscallError(Errno.EINVAL)
    if flags & GRND_RANDOM and flags & GRND_INSECURE:
        raise SyscallError(Errno.EINVAL)
    length = min(length, MAX_RW_COUNT)
    if ubuf + length > TASK_SIZE_MAX:
        raise SyscallError(Errno.EFAULT)
    return get_random_bytes_user(current.k, ubuf, length)
