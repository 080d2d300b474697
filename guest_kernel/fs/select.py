"""select(2), pselect(2) and ppoll(2): waiting for files, also with another set of blocked signals.

As with poll(2), a first round looks, a second one puts the task on the files' queues, and after the
wake-up the call is made again.  What must survive until then lies in the task's restart block.

See: Linux fs/select.c; select(2), poll(2).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.fs.file import fget, files_of, task_rlimit
from guest_kernel.fs.poll import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDBAND,
    EPOLLRDNORM,
    EPOLLWRBAND,
    EPOLLWRNORM,
    POLLFD,
    do_pollfd,
    vfs_poll,
)
from guest_kernel.layout.fs import file
from guest_kernel.layout.sched import RLIMIT_NOFILE
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.sched.wait import NEVER, poll_schedule_timeout, poll_table, signal_pending
from guest_kernel.signal.delivery import restore_saved_sigmask
from guest_kernel.signal.signal import SIGSET_SIZE, set_current_blocked
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, ULong, UserPtr
from guest_kernel.time.hrtimer import KTIME_MAX
from guest_kernel.time.nanosleep import get_timespec
from guest_kernel.time.timekeeping import ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

# What makes a descriptor readable, writable, exceptional.
_SETS: Final = (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR,
                EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR, EPOLLPRI)
_NSEC_PER_SEC: Final = 1_000_000_000
_PAIR: Final = struct.Struct("<qq")  # timeval, timespec
_ARGPACK: Final = struct.Struct("<QQ")  # pselect6: the set's address and size

_Round = Callable[["poll_table | None"], int]


def _wait(current: task_struct, look: _Round) -> int:
    """Look until something has happened, or the deadline in the restart block is reached.

    Returns:
        How much has happened; -1: a signal came first.

    Raises:
        Sleep.
    """
    happened = look(None)
    expires = current.restart_block.expires
    if happened or ktime_get(current.k) >= expires:
        return happened
    if signal_pending(current):
        return -1
    look(poll_table(current))
    return poll_schedule_timeout(current, expires)


def _set_deadline(current: task_struct, timeout: int | None) -> None:
    """Note when the wait ends.

    Args:
        timeout: ns; None: never.
    """
    current.restart_block.expires = (
        NEVER if timeout is None or timeout >= KTIME_MAX else ktime_get(current.k) + timeout)
    current.restart_block.arg[0] = int(timeout == 0)


def _set_user_sigmask(current: task_struct, va: int, size: int) -> None:
    """Block another set for the length of the call, if there is one at ``va``."""
    if not va:
        return
    if size != SIGSET_SIZE:
        raise SyscallError(Errno.EINVAL)
    mask = int.from_bytes(copy_from_user(current.k, va, SIGSET_SIZE), "little")
    current.saved_sigmask = current.blocked
    current.restore_sigmask = 1
    set_current_blocked(current, mask)


def _finish(current: task_struct, wait: Callable[[], int], va: int, unit: int) -> int:
    """Wait, and store what is left of the time; a handler runs with the call's own blocked set.

    Args:
        va: where the time is stored; 0: nowhere.
        unit: of the second number there, ns.

    Raises:
        SyscallError: ERESTARTNOHAND: a signal came; EINTR: and the time could not be stored.
    """
    try:
        result = wait()
    except Sleep:
        raise
    except BaseException:
        restore_saved_sigmask(current)
        raise
    interrupted = result < 0
    if not interrupted:
        restore_saved_sigmask(current)
    block = current.restart_block
    if va and not block.arg[0]:
        left = max(block.expires - ktime_get(current.k), 0)
        try:
            copy_to_user(current.k, va, _PAIR.pack(left // _NSEC_PER_SEC,
                                                   left % _NSEC_PER_SEC // unit))
        except SyscallError:
            if interrupted:
                raise SyscallError(Errno.EINTR) from None
    if interrupted:
        raise SyscallError(Errno.ERESTARTNOHAND)
    return result


# ---- select


class _FdSets:
    """The three sets of select(2), as the caller has them."""

    def __init__(self, current: task_struct, n: int, addresses: tuple[int, int, int]) -> None:
        """Read them.

        Raises:
            SyscallError: EINVAL: ``n`` is negative.  EFAULT.  EBADF: a descriptor is not open.
        """
        if n < 0:
            raise SyscallError(Errno.EINVAL)
        table = files_of(current).fdt
        assert table is not None
        self._k: Kernel = current.k
        self._addresses = addresses
        self._n = n = min(n, table.max_fds)
        self._size = -(-n // 64) * 8
        below = (1 << n) - 1
        self._wanted = [
            int.from_bytes(copy_from_user(self._k, va, self._size), "little") & below if va else 0
            for va in addresses]
        self._files: list[tuple[int, file]] = []
        everyone = self._wanted[0] | self._wanted[1] | self._wanted[2]
        while everyone:
            fd = (everyone & -everyone).bit_length() - 1
            self._files.append((fd, fget(current, fd)))
            everyone &= everyone - 1
        self.found = [0, 0, 0]

    def look(self, pt: poll_table | None) -> int:
        """Ask each file; note what holds of what is wanted, and return how much."""
        self.found = [0, 0, 0]
        for fd, f in self._files:
            mask = vfs_poll(f, pt)
            for index, events in enumerate(_SETS):
                if mask & events:
                    self.found[index] |= self._wanted[index] & 1 << fd
        return sum(bits.bit_count() for bits in self.found)

    def store(self) -> None:
        """Give the caller what was found."""
        for va, bits in zip(self._addresses, self.found, strict=True):
            if va:
                copy_to_user(self._k, va, bits.to_bytes(self._size, "little"))


def _core_sys_select(current: task_struct, n: int, addresses: tuple[int, int, int]) -> int:
    sets = _FdSets(current, n, addresses)
    happened = _wait(current, sets.look)
    if happened >= 0:
        sets.store()
    return happened


# System calls


@SYSCALL_DEFINE
def sys_select(current: task_struct, n: Int, inp: UserPtr, outp: UserPtr, exp: UserPtr,
               tvp: UserPtr) -> int:
    """Wait for one of several files to become ready.  See select(2)."""
    if not current.restart_block.fn:
        timeout = None
        if tvp:
            seconds, micros = _PAIR.unpack(copy_from_user(current.k, tvp, _PAIR.size))
            seconds += micros // 1_000_000 if micros >= 0 else -(-micros // 1_000_000)
            micros = micros % 1_000_000 if micros >= 0 else -(-micros % 1_000_000)
            if seconds < 0 or micros < 0:
                raise SyscallError(Errno.EINVAL)
            timeout = seconds * _NSEC_PER_SEC + micros * 1000
        _set_deadline(current, timeout)
    return _finish(current, lambda: _core_sys_select(current, n, (inp, outp, exp)), tvp, 1000)


@SYSCALL_DEFINE
def sys_pselect6(current: task_struct, n: Int, inp: UserPtr, outp: UserPtr, exp: UserPtr,
                 tsp: UserPtr, sig: UserPtr) -> int:
    """Wait for files as select(2) does, with another set of blocked signals.  See pselect(2)."""
    if not current.restart_block.fn:
        mask, size = _ARGPACK.unpack(copy_from_user(current.k, sig, 16)) if sig else (0, 0)
        _set_deadline(current, get_timespec(current.k, tsp) if tsp else None)
        _set_user_sigmask(current, mask, size)
    return _finish(current, lambda: _core_sys_select(current, n, (inp, outp, exp)), tsp, 1)


@SYSCALL_DEFINE
def sys_ppoll(current: task_struct, ufds: UserPtr, nfds: UInt, tsp: UserPtr, sigmask: UserPtr,
              sigsetsize: ULong) -> int:
    """Wait for files as poll(2) does, with another set of blocked signals.  See ppoll(2)."""
    if not current.restart_block.fn:
        _set_deadline(current, get_timespec(current.k, tsp) if tsp else None)
        _set_user_sigmask(current, sigmask, sigsetsize)
    return _finish(current, lambda: _ppoll(current, ufds, nfds), tsp, 1)


def _ppoll(current: task_struct, ufds: int, nfds: int) -> int:
    if nfds > task_rlimit(current, RLIMIT_NOFILE):
        raise SyscallError(Errno.EINVAL)
    fds = list(POLLFD.iter_unpack(copy_from_user(current.k, ufds, nfds * POLLFD.size)))
    revents: list[int] = []

    def look(pt: poll_table | None) -> int:
        revents[:] = [do_pollfd(current, fd, events, pt) for fd, events, _ in fds]
        return sum(map(bool, revents))

    happened = _wait(current, look)
    if fds:
        copy_to_user(current.k, ufds, b"".join(
            POLLFD.pack(fd, events, happened)
            for (fd, events, _), happened in zip(fds, revents, strict=True)))
    return happened
