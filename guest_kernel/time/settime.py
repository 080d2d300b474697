"""Setting the wall clock: clock_settime(2), settimeofday(2), and what adjtimex(2) says.

To set the clock is to change how far it is ahead of the monotonic one, ``xtime_base``.  Timers and
sleeps until a point of time on the wall clock move along, because that is what their queue is
ordered by; those that last a time do not notice.

See: Linux kernel/time/time.c do_sys_settimeofday64(), kernel/time/timekeeping.c, kernel/time/ntp.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import sched_data, task_struct
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.mm.vma import capable
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.clocks import (
    CLOCK_BOOTTIME_ALARM,
    CLOCK_REALTIME,
    CLOCK_TAI,
    CLOCKFD,
    TIMESPEC,
    TIMEZONE,
    task_for_clock,
)
from guest_kernel.time.hrtimer import clock_was_set
from guest_kernel.time.timekeeping import (
    NSEC_PER_SEC,
    NSEC_PER_USEC,
    ktime_get,
    ktime_get_real_ns,
    set_xtime_base,
    update_vsyscall,
)

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_USEC_PER_SEC: Final = NSEC_PER_SEC // NSEC_PER_USEC
# The latest second that the clock can be set to: it shall run for 30 years more.
TIME_SETTOD_SEC_MAX: Final = ((1 << 63) - 1) // NSEC_PER_SEC - 30 * 365 * 24 * 3600
_MAX_MINUTESWEST: Final = 15 * 60

# struct timex: adjtimex(2).
TIMEX: Final = struct.Struct("<I4xqqqqi4xqqqqqqqqi4xqqqqqi44x")
ADJ_SETOFFSET: Final = 0x0100
ADJ_NANO: Final = 0x2000
ADJ_OFFSET_SS_READ: Final = 0xA001
STA_UNSYNC: Final = 0x0040
TIME_ERROR: Final = 5  # the clock is not synchronised
_NTP_PHASE_LIMIT: Final = 16_000_000  # us: the error is unknown
_MAXFREQ: Final = 500 << 16  # 500 parts per million
_TIME_CONSTANT: Final = 2
_TICK_USEC: Final = 10_000


def do_settimeofday(k: Kernel, seconds: int, nanoseconds: int) -> None:
    """Set the wall clock.

    Raises:
        SyscallError: EINVAL: there is no such time, or it is less than the time since boot.  EPERM:
            the caller is not root.
    """
    if not 0 <= seconds < TIME_SETTOD_SEC_MAX or not 0 <= nanoseconds < NSEC_PER_SEC:
        raise SyscallError(Errno.EINVAL)
    if not capable(k):
        raise SyscallError(Errno.EPERM)
    _set_wall_clock(k, seconds * NSEC_PER_SEC + nanoseconds)


def _set_wall_clock(k: Kernel, time: int) -> None:
    base = time - ktime_get(k)
    if base < 0 or time >= TIME_SETTOD_SEC_MAX * NSEC_PER_SEC:
        raise SyscallError(Errno.EINVAL)
    set_xtime_base(k, base)
    clock_was_set(k)


def _set_timezone(k: Kernel, west: int, dst: int, *, only: bool) -> None:
    """Set what gettimeofday(2) says of the time zone.

    Args:
        only: the time is not set.  The first time, the clock is taken to have shown local time.
    """
    if not -_MAX_MINUTESWEST <= west <= _MAX_MINUTESWEST:
        raise SyscallError(Errno.EINVAL)
    data = k.data(sched_data)
    data.sys_tz.tz_minuteswest, data.sys_tz.tz_dsttime = west, dst
    update_vsyscall(k)
    if not data.tz_was_set:
        data.tz_was_set = 1
        if only and west:
            _set_wall_clock(k, ktime_get_real_ns(k) + west * 60 * NSEC_PER_SEC)


def _do_adjtimex(k: Kernel, txc: int) -> int:
    """Do what the ``struct timex`` at ``txc`` says, and store there how the clock is.

    Returns:
        TIME_ERROR: nobody keeps this clock right.

    Raises:
        SyscallError: EFAULT.  EPERM: something is to be changed, and the caller is not root.
            EINVAL: something that cannot be changed, or a time that there is not.
    """
    fields = TIMEX.unpack(copy_from_user(k, txc, TIMEX.size))
    modes, seconds, fraction = fields[0], fields[9], fields[10]
    if modes not in (0, ADJ_OFFSET_SS_READ):
        if not capable(k):
            raise SyscallError(Errno.EPERM)
        if modes & ~ADJ_NANO != ADJ_SETOFFSET:
            raise SyscallError(Errno.EINVAL)
        scale = 1 if modes & ADJ_NANO else NSEC_PER_USEC
        if not 0 <= fraction < NSEC_PER_SEC // scale:
            raise SyscallError(Errno.EINVAL)
        _set_wall_clock(k, ktime_get_real_ns(k) + seconds * NSEC_PER_SEC + fraction * scale)
    now, ns = divmod(ktime_get_real_ns(k), NSEC_PER_SEC)
    copy_to_user(k, txc, TIMEX.pack(
        modes, 0, 0, _NTP_PHASE_LIMIT, _NTP_PHASE_LIMIT, STA_UNSYNC, _TIME_CONSTANT, 1, _MAXFREQ,
        now, ns // NSEC_PER_USEC, _TICK_USEC, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    return TIME_ERROR


# System calls


@SYSCALL_DEFINE
def sys_clock_settime(current: task_struct, which_clock: Int, tp: UserPtr) -> int:
    """Set the wall clock; no other can be set.  See clock_settime(2)."""
    if which_clock < 0 and which_clock & 7 != CLOCKFD:
        copy_from_user(current.k, tp, TIMESPEC.size)
        task_for_clock(current, which_clock)
        raise SyscallError(Errno.EPERM)
    if which_clock != CLOCK_REALTIME:
        raise SyscallError(Errno.EINVAL)
    do_settimeofday(current.k, *TIMESPEC.unpack(
        copy_from_user(current.k, tp, TIMESPEC.size)))
    return 0


@SYSCALL_DEFINE
def sys_settimeofday(current: task_struct, tv: UserPtr, tz: UserPtr) -> int:
    """Set the wall clock, the time zone, or both.  See settimeofday(2)."""
    k: Kernel = current.k
    time = zone = None
    if tv:
        seconds, microseconds = TIMESPEC.unpack(copy_from_user(k, tv, TIMESPEC.size))
        if not 0 <= microseconds <= _USEC_PER_SEC:
            raise SyscallError(Errno.EINVAL)
        time = seconds, microseconds * NSEC_PER_USEC
    if tz:
        zone = TIMEZONE.unpack(copy_from_user(k, tz, TIMEZONE.size))
    if time is not None and not (0 <= time[0] < TIME_SETTOD_SEC_MAX and time[1] < NSEC_PER_SEC):
        raise SyscallError(Errno.EINVAL)
    if not capable(k):
        raise SyscallError(Errno.EPERM)
    if zone is not None:
        _set_timezone(k, *zone, only=time is None)
    if time is not None:
        do_settimeofday(k, *time)
    return 0


@SYSCALL_DEFINE
def sys_adjtimex(current: task_struct, txc_p: UserPtr) -> int:
    """Say how the wall clock is kept; shift it.  See adjtimex(2).

    Limits: the clock's rate cannot be changed: modes but ADJ_SETOFFSET are EINVAL.
    """
    return _do_adjtimex(current.k, txc_p)


@SYSCALL_DEFINE
def sys_clock_adjtime(current: task_struct, which_clock: Int, utx: UserPtr) -> int:
    """Do what adjtimex(2) does, to the wall clock.  See clock_adjtime(2).

    Limits: as adjtimex.
    """
    if which_clock == CLOCK_REALTIME:
        return _do_adjtimex(current.k, utx)
    copy_from_user(current.k, utx, TIMEX.size)
    if which_clock > CLOCK_TAI or which_clock == CLOCK_BOOTTIME_ALARM + 1:
        raise SyscallError(Errno.EINVAL)
    raise SyscallError(Errno.EOPNOTSUPP)
