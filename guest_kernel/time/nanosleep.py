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
from guest_kernel.layout.sched import HRTIMER_BASE_MONOTONIC
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.sched.wait import NEVER, schedule_timeout, signal_pending
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.clocks import (
    CLOCK_BASES,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCKFD,
    CPUCLOCK_PERTHREAD,
    TIMESPEC,
    cpu_clock,
    task_for_clock,
)
from guest_kernel.time.cputimers import arm_cpu_sleep, cpu_timer_sample, finish_cpu_sleep
from guest_kernel.time.hrtimer import KTIME_MAX, base_offset
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.sched import task_struct

TIMER_ABSTIME: Final = 1

_ONLY_READ: Final = (CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                     CLOCK_MONOTONIC_COARSE)
_SGI_CYCLE: Final = 10  # the number of a clock that Linux had once


def get_timespec(k: Kernel, va: int) -> int:
    """Return the ``struct timespec`` at ``va`` in nanoseconds, at most KTIME_MAX.

    Raises:
        SyscallError: EFAULT.  EINVAL: it is negative, or has a second or more of nanoseconds.
    """
    return timespec_to_ns(*TIMESPEC.unpack(copy_from_user(k, va, TIMESPEC.size)))


def timespec_to_ns(seconds: int, nanoseconds: int) -> int:
    """Return the length of a sleep in nanoseconds, at most KTIME_MAX.

    Raises:
        SyscallError: EINVAL: it is negative, or has a second or more of nanoseconds.
    """
    if seconds < 0 or not 0 <= nanoseconds < NSEC_PER_SEC:
        raise SyscallError(Errno.EINVAL)
    return min(seconds * NSEC_PER_SEC + nanoseconds, KTIME_MAX)


def _begin(current: task_struct, expires: int, rmtp: int | None,
           base: int = HRTIMER_BASE_MONOTONIC) -> NoReturn:
    """Sleep for the first time, and be called again; see :func:`_go_on`."""
    if expires >= KTIME_MAX:
        expires = NEVER
    current.restart_block.expires = expires
    _sleep(current, expires, rmtp, base)


def _go_on(current: task_struct, rmtp: int | None, base: int = HRTIMER_BASE_MONOTONIC) -> int:
    """Sleep on, or return 0 if the deadline is reached.

    Args:
        rmtp: user address for the time that an interrupted sleep had left, or 0; None: the deadline
            is a point of time, and stays what it was.
        base: HRTIMER_BASE_*: the clock of the deadline.

    Raises:
        Sleep.
        SyscallError: ERESTART_RESTARTBLOCK, ERESTARTNOHAND: a signal has come.  EFAULT: what is
            left cannot be stored.
    """
    expires = current.restart_block.expires
    if expires > ktime_get(current.k) + base_offset(current.k, base):
        _sleep(current, expires, rmtp, base)
    return 0


def _sleep(current: task_struct, expires: int, rmtp: int | None, base: int) -> NoReturn:
    if signal_pending(current):
        _interrupted(current, expires - ktime_get(current.k), rmtp)
    schedule_timeout(current, expires, base=base)


def _interrupted(current: task_struct, left: int, rmtp: int | None) -> NoReturn:
    """A signal has come: say how much of the sleep was left, if it was to last a time."""
    if rmtp is None:
        raise SyscallError(Errno.ERESTARTNOHAND)
    if rmtp:
        copy_to_user(current.k, rmtp, TIMESPEC.pack(*divmod(min(left, KTIME_MAX), NSEC_PER_SEC)))
    raise SyscallError(Errno.ERESTART_RESTARTBLOCK)


# The last statement never returns, which the linter cannot see.
def _sleep_on_cpu_time(current: task_struct, clockid: int, absolute: bool, time: int | None,  # noqa: RET503
                       rmtp: int) -> int:
    """Sleep until a CPU clock shows a time.

    Args:
        clockid: a CPU clock.
        time: ns; None: go on with a sleep.
        rmtp: as of :func:`_go_on`.

    Raises:
        Sleep.
        SyscallError: EINVAL: there is no such process, or it is the caller's own thread, which uses
            no CPU time in its sleep.  And as :func:`_go_on`.
    """
    finish_cpu_sleep(current)
    if time is not None and clockid & CPUCLOCK_PERTHREAD and (
            ~(clockid >> 3) in (0, current.pid)):
        raise SyscallError(Errno.EINVAL)
    block = current.restart_block
    task = _whose_time(current, clockid, found=time is not None)
    now = cpu_timer_sample(task, clockid) if task is not None else 0
    if time is not None:
        block.expires = min(time if absolute else now + time, KTIME_MAX)
    if task is not None and block.expires <= now:
        return 0
    if signal_pending(current):
        _interrupted(current, block.expires - now, None if absolute else rmtp)
    if task is not None:
        arm_cpu_sleep(current, task, clockid, block.expires)
    schedule_timeout(current)


def _whose_time(current: task_struct, clockid: int, *, found: bool) -> task_struct | None:
    """Return whose time a CPU clock counts.

    Args:
        found: the call begins, and there must be somebody.  Who ends later is waited for in vain.
    """
    try:
        return task_for_clock(current, clockid)
    except SyscallError:
        if found:
            raise
        return None


def _check_clock(clockid: int) -> None:
    """Refuse what nobody can sleep on, before the time is looked at.

    Raises:
        SyscallError: EINVAL: there is no such clock.  EOPNOTSUPP: it can only be read.
    """
    if clockid in _ONLY_READ or (clockid < 0 and clockid & 7 == CLOCKFD):
        raise SyscallError(Errno.EOPNOTSUPP)
    if clockid > CLOCK_TAI or clockid == _SGI_CYCLE:
        raise SyscallError(Errno.EINVAL)


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

    Limits: no alarm clocks (EOPNOTSUPP, as Linux without a device for them).
    """
    k: Kernel = current.k
    absolute = bool(flags & TIMER_ABSTIME)
    cpu = cpu_clock(which_clock)
    if current.restart_block.fn:
        if cpu < 0:
            return _sleep_on_cpu_time(current, cpu, absolute, None, rmtp)
        if absolute:
            return _go_on(current, None, CLOCK_BASES[which_clock])
        return _go_on(current, rmtp)
    _check_clock(which_clock)
    time = get_timespec(k, rqtp)
    if cpu < 0:
        return _sleep_on_cpu_time(current, cpu, absolute, time, rmtp)
    base = CLOCK_BASES.get(which_clock)
    if base is None:
        raise SyscallError(Errno.EOPNOTSUPP)
    if not absolute:
        _begin(current, ktime_get(k) + time, rmtp)
    if time > ktime_get(k) + base_offset(k, base):
        _begin(current, time, None, base)
    return 0
