"""nanosleep(2): sleeping until a point of time.

The first try of a call works out the deadline and leaves it in the restart block; each further
one, after a wake-up, only looks at the clock.  The dispatcher keeps ``restart_block.fn`` from the
first sleep to the end of the call.

A sleep ends at its deadline exactly: the timer slack, which lets Linux put sleeps together and be
late by so much, is not used.

See: Linux kernel/time/hrtimer.c hrtimer_nanosleep(), kernel/time/posix-timers.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import sched_data
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.sched.wait import NEVER, schedule_timeout, signal_pending
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.clocks import (
    CLOCK_BOOTTIME,
    CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE,
    CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCKFD,
    CPUCLOCK_PERTHREAD,
    TIMESPEC,
    task_for_clock,
)
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

TIMER_ABSTIME: Final = 1
KTIME_MAX: Final = (1 << 63) - 1  # ns; a sleep of this length or more does not end by itself

_SLEEPS: Final = (CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI)
_ONLY_READ: Final = (CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                     CLOCK_MONOTONIC_COARSE)
_SGI_CYCLE: Final = 10  # the number of a clock that Linux had once


def get_timespec(k: Kernel, va: int) -> int:
    """Return the ``struct timespec`` at ``va`` in nanoseconds, at most KTIME_MAX.

    Raises:
        SyscallError: EFAULT.  EINVAL: it is negative, or has a second or more of nanoseconds.
    """
    seconds, nanoseconds = TIMESPEC.unpack(copy_from_user(k, va, TIMESPEC.size))
    if seconds < 0 or not 0 <= nanoseconds < NSEC_PER_SEC:
        raise SyscallError(Errno.EINVAL)
    total: int = seconds * NSEC_PER_SEC + nanoseconds
    return min(total, KTIME_MAX)


def _begin(current: task_struct, expires: int, rmtp: int | None) -> NoReturn:
    """Sleep for the first time, and be called again; see :func:`_go_on`."""
    if expires >= KTIME_MAX:
        expires = NEVER
    current.restart_block.expires = expires
    _sleep(current, expires, rmtp)


def _go_on(current: task_struct, rmtp: int | None) -> int:
    """Sleep on, or return 0 if the deadline is reached.

    Args:
        rmtp: user address for the time that an interrupted sleep had left, or 0; None: the deadline
            is a point of time, and stays what it was.

    Raises:
        Sleep.
        SyscallError: ERESTART_RESTARTBLOCK, ERESTARTNOHAND: a signal has come.  EFAULT: what is
            left cannot be stored.
    """
    expires = current.restart_block.expires
    if expires > ktime_get(current.k):
        _sleep(current, expires, rmtp)
    return 0


def _sleep(current: task_struct, expires: int, rmtp: int | None) -> NoReturn:
    if signal_pending(current):
        if rmtp is None:
            raise SyscallError(Errno.ERESTARTNOHAND)
        left = min(expires - ktime_get(current.k), KTIME_MAX)
        if rmtp:
            copy_to_user(current.k, rmtp, TIMESPEC.pack(*divmod(left, NSEC_PER_SEC)))
        raise SyscallError(Errno.ERESTART_RESTARTBLOCK)
    schedule_timeout(current, expires)


def _check_clock(clockid: int) -> None:
    """Refuse what nobody can sleep on, before the time is looked at.

    Raises:
        SyscallError: EINVAL: there is no such clock.  EOPNOTSUPP: it can only be read.
    """
    if clockid in _ONLY_READ or (clockid < 0 and clockid & 7 == CLOCKFD):
        raise SyscallError(Errno.EOPNOTSUPP)
    if clockid > CLOCK_TAI or clockid == _SGI_CYCLE:
        raise SyscallError(Errno.EINVAL)


def _refuse_clock(current: task_struct, clockid: int) -> NoReturn:
    """Fail for an alarm clock, for which there is no device, or a CPU clock.

    Raises:
        SyscallError: EINVAL: there is no such process, or it is the caller's own thread, which uses
            no CPU time in its sleep.  EOPNOTSUPP.
    """
    if clockid < 0:
        task = task_for_clock(current, clockid)
        if clockid & CPUCLOCK_PERTHREAD and task == current:
            raise SyscallError(Errno.EINVAL)
    raise SyscallError(Errno.EOPNOTSUPP)


# System calls


@SYSCALL_DEFINE
def sys_nanosleep(current: task_struct, rqtp: UserPtr, rmtp: UserPtr) -> int:
    """Sleep for a time.  See nanosleep(2)."""
    if current.restart_block.fn:
        return _go_on(current, rmtp)
    k: Kernel = current.k
    _begin(current, ktime_get(k) + get_timespec(k, rqtp), rmtp)


@SYSCALL_DEFINE
def sys_clock_nanosleep(current: task_struct, which_clock: Int, flags: Int, rqtp: UserPtr,
                        rmtp: UserPtr) -> int:
    """Sleep for a time, or until a point of time.  See clock_nanosleep(2).

    Limits: nobody can sleep on CPU time (EOPNOTSUPP).
    """
    if current.restart_block.fn:
        return _go_on(current, None if flags & TIMER_ABSTIME else rmtp)
    k: Kernel = current.k
    _check_clock(which_clock)
    time = get_timespec(k, rqtp)
    if which_clock not in _SLEEPS:
        _refuse_clock(current, which_clock)
    now = ktime_get(k)
    if not flags & TIMER_ABSTIME:
        _begin(current, now + time, rmtp)
    if which_clock in (CLOCK_REALTIME, CLOCK_TAI) and time < KTIME_MAX:
        time -= k.data(sched_data).xtime_base
    if time > now:
        _begin(current, time, None)
    return 0
