"""Timers on CPU time: where they wait, and the one event that looks at them.

A thread and a process each have a queue for each way to count CPU time (``posix_cputimers``); the
process's interval timers, setitimer(2), wait beside them.  CPU time passes for the running task
alone, so one timer of the machine is enough: ``cputime_event`` is set to when the running task, or
its process, will have used as much as its first timer waits for.  It is set anew when a timer is
armed, when it has expired, and at each switch while there is any such timer at all:
``pcpu_hot.cputimers_active`` counts them.

Linux looks at these timers in the periodic tick, so there they are late by up to a tick; here they
are not.

What expires is in ``time/posix_cpu_timers.py``, which sends signals.

See: Linux kernel/time/posix-cpu-timers.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import container_of
from guest_kernel.layout.rbtree import rb_root_cached
from guest_kernel.layout.sched import (
    CPUCLOCK_PROF,
    CPUCLOCK_VIRT,
    cpu_timer,
    pcpu_hot,
    posix_cputimers,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.time.clocks import Cputime, task_cputime, thread_group_cputime
from guest_kernel.time.hrtimer import NEVER, HrtimerFn, hrtimer_cancel, hrtimer_start
from guest_kernel.time.timekeeping import ktime_get

ITIMER_CLOCKS: Final = (CPUCLOCK_PROF, CPUCLOCK_VIRT)  # of signal_struct.it


def cpu_clock_sample(clock: int, time: Cputime) -> int:
    """Return what CPUCLOCK_* ``clock`` shows of ``time``, in ns."""
    if clock == CPUCLOCK_PROF:
        return time.utime + time.stime
    return time.utime if clock == CPUCLOCK_VIRT else time.sum_exec_runtime


def first_expiry(tree: rb_root_cached) -> int:
    """Return when the first timer of a queue expires, ns of CPU time; NEVER if there is none."""
    first = tree.rb_leftmost
    return NEVER if first is None else container_of(first, cpu_timer, "node").expires


def _left(timers: posix_cputimers, time: Cputime) -> int:
    """Return how much CPU time is left until the first of a thread's or process's timers."""
    return min((first_expiry(tree) - cpu_clock_sample(clock, time)
                for clock, tree in enumerate(timers.bases) if tree.rb_leftmost is not None),
               default=NEVER)


def _left_of_itimers(signal: signal_struct, time: Cputime) -> int:
    return min((signal.it[clock].expires - cpu_clock_sample(clock, time)
                for clock in ITIMER_CLOCKS if signal.it[clock].expires), default=NEVER)


def set_cputime_event(k: Kernel) -> None:
    """Set the event to when the running task's first timer on CPU time expires."""
    current = k.current()
    signal = current.signal
    event = k.data(sched_data).cputime_event
    left = NEVER
    if signal is not None and signal.has_timers:
        process = thread_group_cputime(current)
        left = min(_left(current.posix_cputimers, task_cputime(current)),
                   _left(signal.posix_cputimers, process), _left_of_itimers(signal, process))
    if left == NEVER:
        hrtimer_cancel(event)
    else:
        hrtimer_start(event, ktime_get(k) + max(0, left), HrtimerFn.CPUTIME_EVENT, 0)


def count_cputimers(k: Kernel, change: int) -> None:
    """Count timers on CPU time that are armed, or are not any more."""
    k.data(pcpu_hot).cputimers_active += change


def set_cpu_itimer(task: task_struct, clock: int, value: int, interval: int) -> None:
    """Set ITIMER_PROF or ITIMER_VIRTUAL of a process.

    Args:
        clock: CPUCLOCK_PROF or CPUCLOCK_VIRT.
        value: when it expires, ns of the process's CPU time; 0: it is off.
        interval: ns; 0: it expires once.
    """
    signal = task.signal
    assert signal is not None
    timer = signal.it[clock]
    count_cputimers(task.k, bool(value) - bool(timer.expires))
    timer.expires, timer.incr = value, interval
    signal.has_timers = 1
