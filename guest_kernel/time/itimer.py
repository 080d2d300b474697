"""Interval timers: alarm(2), setitimer(2).

A process has three.  ITIMER_REAL is a timer of the monotonic clock; it sends SIGALRM, and is armed
again when that is *taken*, by a whole number of intervals: while SIGALRM is blocked it does not
tick.  ITIMER_VIRTUAL and ITIMER_PROF count the process's CPU time; see ``time/cputimers.py``.  All
three survive execve(2), and a child has none.

See: Linux kernel/time/itimer.c; setitimer(2), alarm(2).
"""

from __future__ import annotations

import struct
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.sched import (
    CPUCLOCK_PROF,
    CPUCLOCK_VIRT,
    hrtimer,
    pid,
    signal_struct,
    task_struct,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.pid import PIDTYPE_TGID, pid_task
from guest_kernel.signal.numbers import SIGALRM
from guest_kernel.signal.signal import kernel_info, send_signal, signal_of
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr
from guest_kernel.time.clocks import thread_group_cputime
from guest_kernel.time.cputimers import (
    ITIMER_CLOCKS,
    cpu_clock_sample,
    set_cpu_itimer,
    set_cputime_event,
)
from guest_kernel.time.hrtimer import (
    FUNCTIONS,
    KTIME_MAX,
    TICK_NSEC,
    HrtimerFn,
    hrtimer_cancel,
    hrtimer_remaining,
    hrtimer_start,
)
from guest_kernel.time.timekeeping import NSEC_PER_SEC, NSEC_PER_USEC, ktime_get

ITIMER_REAL: Final = 0
ITIMER_VIRTUAL: Final = 1
ITIMER_PROF: Final = 2
_CPU_CLOCKS: Final = {ITIMER_VIRTUAL: CPUCLOCK_VIRT, ITIMER_PROF: CPUCLOCK_PROF}

ITIMERVAL: Final = struct.Struct("<4q")  # it_interval and it_value: seconds, microseconds
_USEC_PER_SEC: Final = NSEC_PER_SEC // NSEC_PER_USEC


def get_itimer(task: task_struct, which: int) -> tuple[int, int]:
    """Return what is left until an interval timer expires, and its interval, in ns.

    Raises:
        SyscallError: EINVAL: there is no such timer.
    """
    signal = signal_of(task)
    if which == ITIMER_REAL:
        timer = signal.real_timer
        # One that is armed has something left.
        left = max(hrtimer_remaining(timer), NSEC_PER_USEC) if timer.is_queued else 0
        return left, signal.it_real_incr
    clock = _cpu_clock(which)
    expires = signal.it[clock].expires
    if expires:
        left = expires - cpu_clock_sample(clock, thread_group_cputime(task))
        return left if left >= 0 else TICK_NSEC, signal.it[clock].incr
    return 0, signal.it[clock].incr


def _cpu_clock(which: int) -> int:
    clock = _CPU_CLOCKS.get(which)
    if clock is None:
        raise SyscallError(Errno.EINVAL)
    return clock


def set_itimer(task: task_struct, which: int, value: int, interval: int) -> None:
    """Set an interval timer of the current process.

    Args:
        value: ns until it expires; 0: it is off.  To CPU time a tick is added, as Linux does, which
            looks at those timers in the tick and must not be early.
        interval: ns between this and the next; 0: it expires once.

    Raises:
        SyscallError: EINVAL: there is no such timer.
    """
    signal = signal_of(task)
    if which == ITIMER_REAL:
        hrtimer_cancel(signal.real_timer)
        signal.it_real_incr = interval if value else 0
        if value:
            signal.has_timers = 1
            expires = min(ktime_get(task.k) + value, KTIME_MAX)
            hrtimer_start(signal.real_timer, expires, HrtimerFn.ITIMER_REAL, signal.va)
        return
    clock = _cpu_clock(which)
    if value:
        value += TICK_NSEC + cpu_clock_sample(clock, thread_group_cputime(task))
    set_cpu_itimer(task, clock, min(value, KTIME_MAX), interval)
    set_cputime_event(task.k)


def exit_itimers(task: task_struct) -> None:
    """The last thread of a process ends: switch its interval timers off."""
    signal = signal_of(task)
    hrtimer_cancel(signal.real_timer)
    for clock in ITIMER_CLOCKS:
        set_cpu_itimer(task, clock, 0, 0)


def _it_real_fn(timer: hrtimer) -> None:
    """ITIMER_REAL has expired."""
    k: Kernel = timer.k
    signal = signal_struct.at(k, timer.data)
    leader = pid_task(pid.at(k, signal.pids[PIDTYPE_TGID]), PIDTYPE_TGID)
    if leader is not None:
        send_signal(SIGALRM, kernel_info(SIGALRM), leader, PIDTYPE_TGID)


FUNCTIONS[HrtimerFn.ITIMER_REAL] = _it_real_fn


# System calls


def _put_itimer(k: Kernel, va: int, left: int, interval: int) -> None:
    copy_to_user(k, va, ITIMERVAL.pack(*(
        part for ns in (interval, left)
        for part in (ns // NSEC_PER_SEC, ns % NSEC_PER_SEC // NSEC_PER_USEC))))


def _get_itimerval(k: Kernel, va: int) -> tuple[int, int]:
    """Return value and interval of the ``struct itimerval`` at ``va``, in ns, at most KTIME_MAX.

    Raises:
        SyscallError: EFAULT.  EINVAL: a time is negative, or has a second or more of microseconds.
    """
    times = ITIMERVAL.unpack(copy_from_user(k, va, ITIMERVAL.size))
    interval, value = (_timeval_ns(*times[i : i + 2]) for i in (0, 2))
    return value, interval


def _timeval_ns(seconds: int, microseconds: int) -> int:
    if seconds < 0 or not 0 <= microseconds < _USEC_PER_SEC:
        raise SyscallError(Errno.EINVAL)
    return min(seconds * NSEC_PER_SEC + microseconds * NSEC_PER_USEC, KTIME_MAX)


@SYSCALL_DEFINE
def sys_getitimer(current: task_struct, which: Int, value: UserPtr) -> int:
    """Return what is left of an interval timer.  See getitimer(2)."""
    _put_itimer(current.k, value, *get_itimer(current, which))
    return 0


@SYSCALL_DEFINE
def sys_setitimer(current: task_struct, which: Int, value: UserPtr, ovalue: UserPtr) -> int:
    """Set an interval timer; without ``value``, switch it off.  See setitimer(2)."""
    k: Kernel = current.k
    new = _get_itimerval(k, value) if value else (0, 0)
    old = get_itimer(current, which)
    set_itimer(current, which, *new)
    if ovalue:
        _put_itimer(k, ovalue, *old)
    return 0


@SYSCALL_DEFINE
def sys_alarm(current: task_struct, seconds: UInt) -> int:
    """Have SIGALRM sent in ``seconds``; return how many were left of an earlier one, rounded.

    See: alarm(2).
    """
    left, _ = get_itimer(current, ITIMER_REAL)
    set_itimer(current, ITIMER_REAL, seconds * NSEC_PER_SEC, 0)
    whole, rest = divmod(left, NSEC_PER_SEC)
    # Not 0 while one is pending.
    return whole + ((not whole and rest > 0) or rest >= NSEC_PER_SEC // 2)
