"""The clocks that a program can read.

There is one source, the machine's virtual clock.  Its rate is never adjusted and the machine never
suspended, so CLOCK_MONOTONIC, its raw form and CLOCK_BOOTTIME are equal, and so are CLOCK_REALTIME
and CLOCK_TAI, whose offset is 0.  A coarse clock stands where the last tick
left it; ours, which has no tick while nobody competes, is rounded down to a multiple of one.

A negative clock number is the CPU time of a process or a thread::

     31                            3   2    1    0
    +-------------------------------+---+---------+
    |             ~ pid             | T |  which  |     T: of the thread; 0: of the whole process
    +-------------------------------+---+---------+     pid 0: the caller's

See: clock_gettime(2); Linux kernel/time/posix-timers.c, posix-cpu-timers.c,
include/linux/posix-timers_types.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import (
    CPUCLOCK_PROF,
    CPUCLOCK_SCHED,
    HRTIMER_BASE_MONOTONIC,
    HRTIMER_BASE_REALTIME,
    sched_data,
    task_struct,
)
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.uaccess import copy_to_user, put_user_u64
from guest_kernel.process.pid import PIDTYPE_PID, PIDTYPE_TGID, find_pid, pid_task
from guest_kernel.sched.core import update_curr
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.hrtimer import TICK_NSEC
from guest_kernel.time.timekeeping import (
    NSEC_PER_SEC,
    NSEC_PER_USEC,
    ktime_get,
    ktime_get_real_ns,
)

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

CLOCK_REALTIME: Final = 0
CLOCK_MONOTONIC: Final = 1
CLOCK_PROCESS_CPUTIME_ID: Final = 2
CLOCK_THREAD_CPUTIME_ID: Final = 3
CLOCK_MONOTONIC_RAW: Final = 4
CLOCK_REALTIME_COARSE: Final = 5
CLOCK_MONOTONIC_COARSE: Final = 6
CLOCK_BOOTTIME: Final = 7
CLOCK_REALTIME_ALARM: Final = 8
CLOCK_BOOTTIME_ALARM: Final = 9
CLOCK_TAI: Final = 11

# The number of a CPU clock, as drawn above.
CPUCLOCK_PERTHREAD: Final = 4
CLOCKFD: Final = 3  # no CPU clock: ~pid is a descriptor of a clock device

HRTIMER_RESOLUTION: Final = 1  # ns
TIMESPEC: Final = struct.Struct("<qq")  # seconds, and nanoseconds or (timeval) microseconds
TIMEZONE: Final = struct.Struct("<ii")  # minutes west of Greenwich, kind of summer time


class Cputime(NamedTuple):
    """CPU time in nanoseconds.

    Attributes:
        utime, stime: in ring 3, in ring 0.
        sum_exec_runtime: as the scheduler charges it.
    """

    utime: int
    stime: int
    sum_exec_runtime: int


def _coarse(now: int) -> int:
    return now - now % TICK_NSEC


def ktime_get_coarse_real_ns(k: Kernel) -> int:
    """Return CLOCK_REALTIME at the last tick."""
    now = ktime_get(k)
    return ktime_get_real_ns(k) - now % TICK_NSEC


_CLOCKS: Final[dict[int, Callable[[Kernel], int]]] = {
    CLOCK_REALTIME: ktime_get_real_ns,
    CLOCK_MONOTONIC: ktime_get,
    CLOCK_MONOTONIC_RAW: ktime_get,
    CLOCK_REALTIME_COARSE: ktime_get_coarse_real_ns,
    CLOCK_MONOTONIC_COARSE: lambda k: _coarse(ktime_get(k)),
    CLOCK_BOOTTIME: ktime_get,
    CLOCK_TAI: ktime_get_real_ns,
}

# On which base of the queue of timers those wait that mean a point of time on a clock.
CLOCK_BASES: Final = {
    CLOCK_REALTIME: HRTIMER_BASE_REALTIME, CLOCK_MONOTONIC: HRTIMER_BASE_MONOTONIC,
    CLOCK_BOOTTIME: HRTIMER_BASE_MONOTONIC, CLOCK_TAI: HRTIMER_BASE_REALTIME,
}

_COARSE_CLOCKS: Final = (CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE)


# ---- CPU time


def task_cputime(task: task_struct) -> Cputime:
    """Return the CPU time of one thread, the running one charged up to now."""
    update_curr(task.k)
    return Cputime(task.utime, task.stime, task.se.sum_exec_runtime)


def thread_group_cputime(task: task_struct) -> Cputime:
    """Return the CPU time of a process: of its threads, and of those that have exited."""
    update_curr(task.k)
    signal = task.signal
    assert signal is not None
    utime, stime = signal.utime, signal.stime
    runtime = utime + stime
    for thread in list_for_each_entry(signal.thread_head, task_struct, "thread_node"):
        utime += thread.utime
        stime += thread.stime
        runtime += thread.se.sum_exec_runtime
    return Cputime(utime, stime, runtime)


def cpu_clock(clockid: int) -> int:
    """Return ``clockid``, or the CPU clock that it is a short name of."""
    if clockid == CLOCK_PROCESS_CPUTIME_ID:
        return ~0 << 3 | CPUCLOCK_SCHED
    if clockid == CLOCK_THREAD_CPUTIME_ID:
        return ~0 << 3 | CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED
    return clockid


def task_for_clock(current: task_struct, clockid: int, *, gettime: bool = False) -> task_struct:
    """Return whose time the CPU clock ``clockid`` counts.

    Args:
        gettime: the clock is only read: the caller's thread will do for its process.

    Raises:
        SyscallError: EINVAL: it is no CPU clock; there is no such process; the thread is not one
            of the caller's process.
    """
    nr, per_thread = ~(clockid >> 3), clockid & CPUCLOCK_PERTHREAD
    if clockid >= 0 or clockid & 3 > CPUCLOCK_SCHED:
        raise SyscallError(Errno.EINVAL)
    if not nr:
        return current
    number = find_pid(current.k, nr)
    if per_thread:
        task = pid_task(number, PIDTYPE_PID)
        if task is not None and task.signal != current.signal:
            task = None
    elif gettime and nr == current.pid:
        task = current
    else:
        task = pid_task(number, PIDTYPE_TGID)
    if task is None:
        raise SyscallError(Errno.EINVAL)
    return task


def _cpu_clock_get(current: task_struct, clockid: int) -> int:
    clockid = cpu_clock(clockid)
    task = task_for_clock(current, clockid, gettime=True)
    per_thread = clockid & CPUCLOCK_PERTHREAD
    time = task_cputime(task) if per_thread else thread_group_cputime(task)
    if clockid & 3 == CPUCLOCK_SCHED:
        return time.sum_exec_runtime
    return time.utime + (time.stime if clockid & 3 == CPUCLOCK_PROF else 0)


def clock_get(current: task_struct, clockid: int) -> int:
    """Return the time of a clock in nanoseconds.

    Raises:
        SyscallError: EINVAL: there is no such clock.
    """
    read = _CLOCKS.get(clockid)
    return read(current.k) if read is not None else _cpu_clock_get(current, clockid)


def clock_resolution(current: task_struct, clockid: int) -> int:
    """Return how fine a clock is, in nanoseconds.

    Raises:
        SyscallError: EINVAL: there is no such clock.
    """
    if clockid in _CLOCKS:
        return TICK_NSEC if clockid in _COARSE_CLOCKS else HRTIMER_RESOLUTION
    clockid = cpu_clock(clockid)
    task_for_clock(current, clockid)
    return HRTIMER_RESOLUTION if clockid & 3 == CPUCLOCK_SCHED else TICK_NSEC


# System calls


@SYSCALL_DEFINE
def sys_clock_gettime(current: task_struct, which_clock: Int, tp: UserPtr) -> int:
    """Read a clock.  See clock_gettime(2).

    Limits: no alarm clocks and no clock devices (EINVAL, as Linux without them).
    """
    now = clock_get(current, which_clock)
    copy_to_user(current.k, tp, TIMESPEC.pack(*divmod(now, NSEC_PER_SEC)))
    return 0


@SYSCALL_DEFINE
def sys_clock_getres(current: task_struct, which_clock: Int, tp: UserPtr) -> int:
    """Return how fine a clock is.  See clock_getres(2).

    Limits: as clock_gettime.
    """
    resolution = clock_resolution(current, which_clock)
    if tp:
        copy_to_user(current.k, tp, TIMESPEC.pack(0, resolution))
    return 0


@SYSCALL_DEFINE
def sys_gettimeofday(current: task_struct, tv: UserPtr, tz: UserPtr) -> int:
    """Return the time of day in microseconds, and the time zone that was set, or Greenwich.

    See gettimeofday(2).
    """
    k = current.k
    if tv:
        seconds, nanoseconds = divmod(ktime_get_real_ns(k), NSEC_PER_SEC)
        copy_to_user(k, tv, TIMESPEC.pack(seconds, nanoseconds // NSEC_PER_USEC))
    if tz:
        sys_tz = k.data(sched_data).sys_tz
        copy_to_user(k, tz, TIMEZONE.pack(sys_tz.tz_minuteswest, sys_tz.tz_dsttime))
    return 0


@SYSCALL_DEFINE
def sys_time(current: task_struct, tloc: UserPtr) -> int:
    """Return the seconds since 1970.  See time(2)."""
    k = current.k
    seconds = ktime_get_coarse_real_ns(k) // NSEC_PER_SEC
    if tloc:
        put_user_u64(k, tloc, seconds)
    return seconds
