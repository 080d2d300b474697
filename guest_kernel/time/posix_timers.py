"""The timers of timer_create(2).

A timer is a ``k_itimer``, on a list of its process, with its signal in it: to expire needs no
memory, and a timer has at most one signal that waits.  What more expiries there are by the time
that signal is taken is counted, its *overrun*; see ``time/rearm.py``.

A relative time is one on CLOCK_MONOTONIC: setting the wall clock does not change how long it takes.

See: Linux kernel/time/posix-timers.c; timer_create(2), timer_settime(2), timer_getoverrun(2).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.file import task_rlimit
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import container_of
from guest_kernel.layout.posix_timers import (
    POSIX_TIMER_ARMED,
    POSIX_TIMER_DISARMED,
    k_itimer,
)
from guest_kernel.layout.sched import (
    HRTIMER_BASE_MONOTONIC,
    RLIMIT_SIGPENDING,
    hrtimer,
    pid,
    task_struct,
)
from guest_kernel.layout.signal import SIGQUEUE_PREALLOC
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    hlist_add_head,
    hlist_del,
    hlist_for_each_entry,
    list_empty,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import kzalloc
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user, put_user_u32
from guest_kernel.process.pid import (
    PIDTYPE_PID,
    PIDTYPE_TGID,
    find_task_by_vpid,
    get_pid,
    task_pid,
    task_tgid,
)
from guest_kernel.signal.numbers import SI_TIMER, SIGALRM, SIGRTMAX
from guest_kernel.signal.signal import INFO_SIZE, flush_timer_signals, signal_of
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.clocks import (
    CLOCK_BASES,
    CLOCK_BOOTTIME_ALARM,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE,
    CLOCKFD,
    TIMESPEC,
    cpu_clock,
)
from guest_kernel.time.cputimers import disarm_cpu_timer
from guest_kernel.time.hrtimer import (
    FUNCTIONS,
    KTIME_MAX,
    HrtimerFn,
    hrtimer_cancel,
    hrtimer_forward,
    hrtimer_remaining,
    hrtimer_start,
)
from guest_kernel.time.itimer import exit_itimers
from guest_kernel.time.nanosleep import TIMER_ABSTIME, timespec_to_ns
from guest_kernel.time.posix_cpu_timers import (
    exit_cpu_timers,
    posix_cpu_timer_check,
    posix_cpu_timer_create,
    posix_cpu_timer_get,
    posix_cpu_timer_set,
)
from guest_kernel.time.rearm import free_posix_timer, timer_overrun
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get
from guest_kernel.time.timer_signal import posix_timer_queue_signal

SIGEV_SIGNAL: Final = 0
SIGEV_NONE: Final = 1
SIGEV_THREAD: Final = 2  # for the C library; to the kernel a signal
SIGEV_THREAD_ID: Final = 4  # a flag: to one thread

SIGEVENT: Final = struct.Struct("<Qiii44x")  # value, signo, notify, thread
ITIMERSPEC: Final = struct.Struct("<4q")  # it_interval and it_value: seconds, nanoseconds
_SIGINFO: Final = struct.Struct("<iii4xiiQ16x")  # signo errno code; timer, overrun, value
_INFO: Final = k_itimer.offsetof("sigq.info")
_INT_MAX: Final = (1 << 31) - 1

# Clocks that no timer can be on; for alarm clocks there is no device.
_NO_TIMERS: Final = (CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                     CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM)


class sigevent(NamedTuple):
    """How a process wants to be told: sigevent(3type)."""

    value: int
    signo: int
    notify: int
    thread: int


def _clock_of_timer(clockid: int) -> int:
    """Return the clock that a timer is to be on; a short name of a CPU clock becomes its number.

    Raises:
        SyscallError: EINVAL: there is no such clock.  EOPNOTSUPP: it has no timers.
    """
    clockid = cpu_clock(clockid)
    if clockid in _NO_TIMERS or (clockid < 0 and clockid & 7 == CLOCKFD):
        raise SyscallError(Errno.EOPNOTSUPP)
    if clockid >= 0 and clockid not in CLOCK_BASES:
        raise SyscallError(Errno.EINVAL)
    return clockid


def _receiver(current: task_struct, event: sigevent) -> pid:
    """Return who is to get the signal of a timer.

    Raises:
        SyscallError: EINVAL: it is no thread of the caller's process, or there is no such signal.
    """
    number = task_tgid(current)
    if event.notify == SIGEV_SIGNAL | SIGEV_THREAD_ID:
        thread = find_task_by_vpid(current.k, event.thread)
        if thread is None or thread.signal != current.signal:
            raise SyscallError(Errno.EINVAL)
        number = task_pid(thread)
    elif event.notify not in (SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_NONE):
        raise SyscallError(Errno.EINVAL)
    if event.notify != SIGEV_NONE and not 0 < event.signo <= SIGRTMAX:
        raise SyscallError(Errno.EINVAL)
    assert number is not None
    return number


def _alloc_posix_timer(current: task_struct) -> k_itimer:
    """Return a new timer, whose signal counts for RLIMIT_SIGPENDING of the caller's user.

    Raises:
        SyscallError: EAGAIN: the limit is reached, or there is no memory.
    """
    user = current.user
    assert user is not None
    if user.sigpending >= task_rlimit(current, RLIMIT_SIGPENDING):
        raise SyscallError(Errno.EAGAIN)
    try:
        timer = kzalloc(current.k, k_itimer)
    except OutOfFrames:
        raise SyscallError(Errno.EAGAIN) from None
    user.sigpending += 1
    user.count += 1
    timer.sigq.user = user
    timer.sigq.flags = SIGQUEUE_PREALLOC
    INIT_LIST_HEAD(timer.sigq.list)
    return timer


def _new_timer_id(current: task_struct) -> int:
    """Return the next number that no timer of the process has.  Numbers begin at 0."""
    signal = signal_of(current)
    number: int = signal.next_posix_timer_id
    while _find_timer(current, number) is not None:
        number = number + 1 & _INT_MAX
    signal.next_posix_timer_id = number + 1 & _INT_MAX
    return number


def _find_timer(current: task_struct, number: int) -> k_itimer | None:
    timers = hlist_for_each_entry(signal_of(current).posix_timers, k_itimer, "list")
    return next((timer for timer in timers if timer.it_id == number), None)


def _timer(current: task_struct, number: int) -> k_itimer:
    """Return a timer of the caller's process.

    Raises:
        SyscallError: EINVAL: it has none of that number.
    """
    timer = _find_timer(current, number)
    if timer is None:
        raise SyscallError(Errno.EINVAL)
    return timer


def do_timer_create(current: task_struct, clockid: int, event: sigevent | None,
                    created_timer_id: int) -> None:
    """Make a timer, and store its number in user memory.

    Args:
        event: None: SIGALRM to the process, with the number as its value.

    Raises:
        SyscallError: EINVAL: there is no such clock, receiver or signal.  EOPNOTSUPP: the clock
            has no timers.  EAGAIN: RLIMIT_SIGPENDING.  EFAULT.
    """
    clockid = _clock_of_timer(clockid)
    timer = _alloc_posix_timer(current)
    try:
        timer.it_clock, timer.it_id = clockid, _new_timer_id(current)
        event = event or sigevent(timer.it_id, SIGALRM, SIGEV_SIGNAL, 0)
        timer.it_pid = get_pid(_receiver(current, event))
        timer.it_sigev_notify = event.notify
        timer.it_pid_type = PIDTYPE_PID if event.notify & SIGEV_THREAD_ID else PIDTYPE_TGID
        timer.it_overrun = -1
        k, place = timer.k, timer.pa + _INFO
        k.u8[place : place + INFO_SIZE] = _SIGINFO.pack(event.signo, 0, SI_TIMER, timer.it_id, 0,
                                                        event.value)
        put_user_u32(k, created_timer_id, timer.it_id)
        if clockid < 0:
            posix_cpu_timer_create(timer, current)
    except SyscallError:
        free_posix_timer(timer)
        raise
    signal = signal_of(current)
    timer.it_signal = signal
    hlist_add_head(timer.list, signal.posix_timers)
    signal.has_timers = 1


def _disarm(timer: k_itimer) -> None:
    hrtimer_cancel(timer.timer)
    disarm_cpu_timer(timer.cpu)
    timer.it_status = POSIX_TIMER_DISARMED


def do_timer_gettime(timer: k_itimer) -> tuple[int, int]:
    """Return how many ns are left until ``timer`` expires, and its interval.

    A timer whose signal waits, or that has none, is moved on to its next expiry for this.
    """
    silent = timer.it_sigev_notify == SIGEV_NONE
    if timer.it_cpu_pid is not None:
        return posix_cpu_timer_get(timer, silent=silent), timer.it_interval
    interval: int = timer.it_interval
    if not interval and timer.it_status == POSIX_TIMER_DISARMED and not silent:
        return 0, 0
    if interval and timer.it_status != POSIX_TIMER_ARMED:
        timer.it_overrun += hrtimer_forward(timer.timer, interval)
    left = hrtimer_remaining(timer.timer)
    if left > 0:
        return left, interval
    return 0 if silent else 1, interval  # its signal has yet to come


def do_timer_settime(timer: k_itimer, flags: int, value: int,
                     interval: int) -> tuple[int, int]:
    """Set a timer; return what was left of it before, and its interval.

    A signal of before that waits is not delivered any more.

    Args:
        flags: TIMER_ABSTIME.
        value: ns until it expires, or when; 0: it is off.
        interval: ns; 0: it expires once.

    Raises:
        SyscallError: ESRCH: whose CPU time it counts has ended.
    """
    timer.it_signal_seq += 1
    if timer.it_cpu_pid is not None:
        posix_cpu_timer_check(timer)
    old = do_timer_gettime(timer)
    _disarm(timer)
    timer.it_interval = interval if value else 0
    timer.it_overrun_last, timer.it_overrun = 0, -1
    absolute, silent = bool(flags & TIMER_ABSTIME), timer.it_sigev_notify == SIGEV_NONE
    if timer.it_cpu_pid is not None:
        posix_cpu_timer_set(timer, value, absolute=absolute, silent=silent)
    elif value:
        _arm(timer, value, absolute=absolute, silent=silent)
    return old


def _arm(timer: k_itimer, value: int, *, absolute: bool, silent: bool) -> None:
    base = HRTIMER_BASE_MONOTONIC
    if absolute:
        base = CLOCK_BASES[timer.it_clock]
    else:
        value = min(value + ktime_get(timer.k), KTIME_MAX)
    if silent:  # it is asked about, and need not wait
        timer.timer.expires, timer.timer.base = value, base
    else:
        timer.it_status = POSIX_TIMER_ARMED
        hrtimer_start(timer.timer, value, HrtimerFn.POSIX_TIMER, timer.va, base)


def _posix_timer_fn(timer: hrtimer) -> None:
    posix_timer_queue_signal(container_of(timer, k_itimer, "timer"))


FUNCTIONS[HrtimerFn.POSIX_TIMER] = _posix_timer_fn


def _delete(timer: k_itimer) -> None:
    """Delete a timer.  If its signal waits, what is left goes when that is taken."""
    _disarm(timer)
    hlist_del(timer.list)
    timer.it_signal = None
    if list_empty(timer.sigq.list):
        free_posix_timer(timer)


def delete_posix_timers(task: task_struct) -> None:
    """Delete all timers of the process, and their signals: it ends, or becomes a new program."""
    for timer in hlist_for_each_entry(signal_of(task).posix_timers, k_itimer, "list"):
        _delete(timer)
    flush_timer_signals(task)


def exit_timers(task: task_struct, *, group_dead: bool) -> None:
    """A thread ends, perhaps the last of its process."""
    exit_cpu_timers(task, group_dead=group_dead)
    if group_dead:
        exit_itimers(task)
        delete_posix_timers(task)


# System calls


def _get_itimerspec(k: Kernel, va: int) -> tuple[int, int]:
    """Return value and interval of the ``struct itimerspec`` at ``va``, in ns, at most KTIME_MAX.

    Raises:
        SyscallError: EFAULT.  EINVAL: a time is negative, or has a second or more of nanoseconds.
    """
    times = ITIMERSPEC.unpack(copy_from_user(k, va, ITIMERSPEC.size))
    interval, value = (timespec_to_ns(*times[i : i + 2]) for i in (0, 2))
    return value, interval


def _put_itimerspec(k: Kernel, va: int, left: int, interval: int) -> None:
    copy_to_user(k, va, b"".join(TIMESPEC.pack(*divmod(ns, NSEC_PER_SEC))
                                 for ns in (interval, left)))


@SYSCALL_DEFINE
def sys_timer_create(current: task_struct, which_clock: Int, timer_event_spec: UserPtr,
                     created_timer_id: UserPtr) -> int:
    """Make a timer.  See timer_create(2).

    Limits: no alarm clocks (EOPNOTSUPP, as Linux without a device for them).
    """
    event = None
    if timer_event_spec:
        event = sigevent(*SIGEVENT.unpack(
            copy_from_user(current.k, timer_event_spec, SIGEVENT.size)))
    do_timer_create(current, which_clock, event, created_timer_id)
    return 0


@SYSCALL_DEFINE
def sys_timer_settime(current: task_struct, timer_id: Int, flags: Int, new_setting: UserPtr,
                      old_setting: UserPtr) -> int:
    """Set a timer.  See timer_settime(2)."""
    if not new_setting:
        raise SyscallError(Errno.EINVAL)
    value, interval = _get_itimerspec(current.k, new_setting)
    old = do_timer_settime(_timer(current, timer_id), flags, value, interval)
    if old_setting:
        _put_itimerspec(current.k, old_setting, *old)
    return 0


@SYSCALL_DEFINE
def sys_timer_gettime(current: task_struct, timer_id: Int, setting: UserPtr) -> int:
    """Return what is left of a timer.  See timer_gettime(2)."""
    _put_itimerspec(current.k, setting, *do_timer_gettime(_timer(current, timer_id)))
    return 0


@SYSCALL_DEFINE
def sys_timer_getoverrun(current: task_struct, timer_id: Int) -> int:
    """Return how many expiries the last signal stood for, beside its own.

    See: timer_getoverrun(2).
    """
    return timer_overrun(_timer(current, timer_id))


@SYSCALL_DEFINE
def sys_timer_delete(current: task_struct, timer_id: Int) -> int:
    """Delete a timer.  See timer_delete(2)."""
    _delete(_timer(current, timer_id))
    return 0
