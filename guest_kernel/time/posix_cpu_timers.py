"""Timers on CPU time: those of timer_create(2), and what expires.

See: ``time/cputimers.py``, for where they wait; Linux kernel/time/posix-cpu-timers.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import container_of
from guest_kernel.layout.posix_timers import POSIX_TIMER_ARMED, POSIX_TIMER_DISARMED, k_itimer
from guest_kernel.layout.sched import (
    CPUCLOCK_PROF,
    CPUCLOCK_VIRT,
    RLIM_INFINITY,
    RLIMIT_CPU,
    hrtimer,
    posix_cputimers,
    task_struct,
)
from guest_kernel.process.pid import PIDTYPE_PID, PIDTYPE_TGID, get_pid, task_pid_type
from guest_kernel.sched.core import wake_up_process
from guest_kernel.signal.numbers import SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU
from guest_kernel.signal.signal import kernel_info, send_signal, signal_of
from guest_kernel.time.clocks import (
    CPUCLOCK_PERTHREAD,
    Cputime,
    task_cputime,
    task_for_clock,
    thread_group_cputime,
)
from guest_kernel.time.cputimers import (
    arm_cpu_timer,
    cpu_clock_sample,
    cpu_timer_sample,
    cpu_timer_task,
    disarm_cpu_timer,
    drop_cpu_timers,
    next_expired,
    set_cpu_itimer,
    set_cputime_event,
)
from guest_kernel.time.hrtimer import FUNCTIONS, KTIME_MAX, HrtimerFn
from guest_kernel.time.rearm import bump_cpu_timer
from guest_kernel.time.timekeeping import NSEC_PER_SEC
from guest_kernel.time.timer_signal import posix_timer_queue_signal

_ITIMER_SIGNALS: Final = {CPUCLOCK_PROF: SIGPROF, CPUCLOCK_VIRT: SIGVTALRM}


# ---- a timer of timer_create(2)


def posix_cpu_timer_create(timer: k_itimer, current: task_struct) -> None:
    """Note whose CPU time ``timer``, of a CPU clock, counts.

    Raises:
        SyscallError: EINVAL: there is no such clock.
    """
    kind = PIDTYPE_PID if timer.it_clock & CPUCLOCK_PERTHREAD else PIDTYPE_TGID
    number = task_pid_type(task_for_clock(current, timer.it_clock), kind)
    assert number is not None
    timer.it_cpu_pid = get_pid(number)


def posix_cpu_timer_get(timer: k_itimer, *, silent: bool) -> int:
    """Return how much CPU time is left until ``timer`` expires, in ns; 0: it is off.

    Args:
        silent: it has no signal.
    """
    task = cpu_timer_task(timer.it_cpu_pid, timer.it_clock)
    if not timer.cpu.expires or task is None:
        return 0
    now = cpu_timer_sample(task, timer.it_clock)
    if timer.it_interval and timer.it_status != POSIX_TIMER_ARMED:
        bump_cpu_timer(timer, now)
    left = timer.cpu.expires - now
    if left > 0:
        return left
    return 0 if silent else 1


def posix_cpu_timer_check(timer: k_itimer) -> None:
    """Look whether there is still somebody whose CPU time ``timer`` counts.

    Raises:
        SyscallError: ESRCH.
    """
    if cpu_timer_task(timer.it_cpu_pid, timer.it_clock) is None:
        raise SyscallError(Errno.ESRCH)


def posix_cpu_timer_set(timer: k_itimer, value: int, *, absolute: bool, silent: bool) -> None:
    """Set ``timer``, which is disarmed; what is past already expires at once.

    Args:
        value: ns of CPU time; 0: it is off.
        silent: it has no signal, and need not wait.
    """
    task = cpu_timer_task(timer.it_cpu_pid, timer.it_clock)
    assert task is not None  # posix_cpu_timer_check()
    now = cpu_timer_sample(task, timer.it_clock)
    if value and not absolute:
        value = min(value + now, KTIME_MAX)
    timer.cpu.expires = value
    if silent or not value:
        return
    if now < value:
        timer.it_status = POSIX_TIMER_ARMED
        arm_cpu_timer(timer.cpu, task, timer.it_clock)
    else:
        _fire(timer)


def _fire(timer: k_itimer) -> None:
    timer.it_status = POSIX_TIMER_DISARMED
    posix_timer_queue_signal(timer)
    if not timer.it_interval:
        timer.cpu.expires = 0


# ---- what expires


def run_posix_cpu_timers(task: task_struct) -> None:
    """Let expire what waits for no more CPU time than ``task``, which runs, or its process has."""
    signal = signal_of(task)
    if not (signal.has_timers or signal.cpu_limited) or task.exit_state:
        return
    _check_timers(task.posix_cputimers, task_cputime(task))
    process = thread_group_cputime(task)
    _check_timers(signal.posix_cputimers, process)
    _check_itimers(task, process)
    _check_rlimit(task, process)


def _check_rlimit(task: task_struct, time: Cputime) -> None:
    """At the soft limit send SIGXCPU, each second; at the hard one kill.  See getrlimit(2)."""
    limit = signal_of(task).rlim[RLIMIT_CPU]
    if limit.rlim_cur == RLIM_INFINITY:
        return
    used = cpu_clock_sample(CPUCLOCK_PROF, time)
    if used >= limit.rlim_max * NSEC_PER_SEC:
        send_signal(SIGKILL, kernel_info(SIGKILL), task, PIDTYPE_TGID)
    elif used >= limit.rlim_cur * NSEC_PER_SEC:
        limit.rlim_cur += 1
        send_signal(SIGXCPU, kernel_info(SIGXCPU), task, PIDTYPE_TGID)


def _check_timers(timers: posix_cputimers, time: Cputime) -> None:
    while (timer := next_expired(timers, time)) is not None:
        disarm_cpu_timer(timer)
        if timer.sleeper is not None:
            wake_up_process(timer.sleeper)
        else:
            _fire(container_of(timer, k_itimer, "cpu"))


def _check_itimers(task: task_struct, time: Cputime) -> None:
    for clock, sig in _ITIMER_SIGNALS.items():
        timer = signal_of(task).it[clock]
        if timer.expires and cpu_clock_sample(clock, time) >= timer.expires:
            following = timer.expires + timer.incr if timer.incr else 0
            set_cpu_itimer(task, clock, following, timer.incr)
            send_signal(sig, kernel_info(sig), task, PIDTYPE_TGID)


def _cputime_event(timer: hrtimer) -> None:
    k: Kernel = timer.k
    run_posix_cpu_timers(k.current())
    set_cputime_event(k)


FUNCTIONS[HrtimerFn.CPUTIME_EVENT] = _cputime_event


def exit_cpu_timers(task: task_struct, *, group_dead: bool) -> None:
    """A thread ends, perhaps the last: its CPU time stands still."""
    drop_cpu_timers(task.posix_cputimers)
    if group_dead:
        drop_cpu_timers(signal_of(task).posix_cputimers)
