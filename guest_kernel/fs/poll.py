"""poll(2).

A first round looks at each file and puts the task on no queue.  If nothing has happened and time is
left, a second round puts it on the queues of all files, and it sleeps; woken, the call is made
again.  The deadline, which must not move from try to try, lies in the task's restart block.

See: Linux fs/select.c (do_sys_poll); poll(2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.file import fget, task_rlimit
from guest_kernel.fs.operations import file_operations
from guest_kernel.layout.fs import file
from guest_kernel.layout.sched import RLIMIT_NOFILE
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.sched.wait import NEVER, poll_schedule_timeout, poll_table, signal_pending
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr
from guest_kernel.time.timekeeping import ktime_get

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

# What a file's poll operation answers; POLL* of poll(2) are the same numbers.
EPOLLIN: Final = 0x0001
EPOLLPRI: Final = 0x0002
EPOLLOUT: Final = 0x0004
EPOLLERR: Final = 0x0008
EPOLLHUP: Final = 0x0010
EPOLLNVAL: Final = 0x0020
EPOLLRDNORM: Final = 0x0040
EPOLLRDBAND: Final = 0x0080
EPOLLWRNORM: Final = 0x0100
EPOLLWRBAND: Final = 0x0200
EPOLLRDHUP: Final = 0x2000

POLLFD: Final = struct.Struct("<iHH")  # fd events revents
_NSEC_PER_MSEC: Final = 1_000_000


def vfs_poll(f: file, pt: poll_table | None) -> int:
    """Return the events that hold for a file now, and put ``pt`` on the queues that tell more."""
    if pt is not None:
        pt.filp = f
    return file_operations(f.f_op).poll(f, pt)


def do_pollfd(current: task_struct, fd: int, events: int, pt: poll_table | None) -> int:
    """Return the ``revents`` of one ``struct pollfd``."""
    if fd < 0:
        return 0
    try:
        f = fget(current, fd)
    except SyscallError:
        return EPOLLNVAL
    return vfs_poll(f, pt) & (events | EPOLLERR | EPOLLHUP)


def _do_poll(
    current: task_struct, fds: list[tuple[int, int, int]], pt: poll_table | None
) -> list[int]:
    return [do_pollfd(current, fd, events, pt) for fd, events, _ in fds]


def _deadline(current: task_struct, timeout_msecs: int) -> int:
    """Return when a poll ends that waits: monotonic ns, from the first try on the same."""
    block = current.restart_block
    if not block.fn:  # the first try: the dispatcher sets it when the task sleeps
        block.expires = (
            NEVER if timeout_msecs < 0
            else ktime_get(current.k) + timeout_msecs * _NSEC_PER_MSEC
        )
    return block.expires


# System calls


@SYSCALL_DEFINE
def sys_poll(current: task_struct, ufds: UserPtr, nfds: UInt, timeout_msecs: Int) -> int:
    """Wait for one of several files to become ready.  See poll(2)."""
    k = current.k
    if nfds > task_rlimit(current, RLIMIT_NOFILE):
        raise SyscallError(Errno.EINVAL)
    fds = list(POLLFD.iter_unpack(copy_from_user(k, ufds, nfds * POLLFD.size)))
    revents = _do_poll(current, fds, None)
    interrupted = False
    if not any(revents) and timeout_msecs:
        expires = _deadline(current, timeout_msecs)
        interrupted = signal_pending(current)
        if not interrupted and ktime_get(k) < expires:
            _do_poll(current, fds, poll_table(current))
            poll_schedule_timeout(current, expires)
    if fds:
        copy_to_user(k, ufds, b"".join(
            POLLFD.pack(fd, events, happened)
            for (fd, events, _), happened in zip(fds, revents, strict=True)
        ))
    if interrupted:
        raise SyscallError(Errno.ERESTART_RESTARTBLOCK)
    return sum(map(bool, revents))
