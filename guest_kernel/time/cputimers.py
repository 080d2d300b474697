"""Timers on CPU time: where they wait, and the one event that looks at them.

A thread and a process each have a queue for each way to count CPU time (``posix_cputimers``); the
process's interval timers, setitimer(2), and RLIMIT_CPU wait beside them.  CPU time passes for the
running task alone, so one timer of the machine is enough: ``cputime_event`` is set to when the
running task, or its process, can have used as much as its first timer waits for, at the earliest: a
timer on user time also has to wait until ring 0 is done.  It is set anew when a timer is armed,
when it has expired, and at each switch while there is any such timer at all:
``pcpu_hot.cputimers_active`` counts them.

Linux looks at these timers in the periodic tick, so there they are late by up to a tick; here not,
or, on user time, by what the kernel needs to get back to ring 3.

What expires is in ``time/posix_cpu_timers.py``, which sends signals.

See: Linux kernel/time/posix-cpu-timers.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import container_of
from guest_kernel.layout.rbtree import rb_root_cached
from guest_kernel.layout.sched import (
    CPU_LIMITS,
    CPUCLOCK_PROF,
    CPUCLOCK_VIRT,
    RLIM_INFINITY,
    RLIMIT_CPU,
    cpu_timer,
    pcpu_hot,
    pid,
    posix_cputimers,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.rbtree import rb_add_cached, rb_erase_cached
from guest_kernel.process.pid import PIDTYPE_PID, PIDTYPE_TGID, pid_task
from guest_kernel.time.clocks import (
    CPUCLOCK_PERTHREAD,
    Cputime,
    task_cputime,
    thread_group_cputime,
)
from guest_kernel.time.hrtimer import NEVER, HrtimerFn, hrtimer_cancel, hrtimer_start
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

_KEY: Final = cpu_timer.offsetof("expires") - cpu_timer.offsetof("node")
ITIMER_CLOCKS: Final = (CPUCLOCK_PROF, CPUCLOCK_VIRT)  # of signal_struct.it


def cpu_clock_sample(clock: int, time: Cputime) -> int:
    """Return what CPUCLOCK_* ``clock`` shows of ``time``, in ns."""
    if clock == CPUCLOCK_PROF:
        return time.utime + time.stime
    return time.utime if clock == CPUCLOCK_VIRT else time.sum_exec_runtime


def cpu_timer_task(number: pid | None, clockid: int) -> task_struct | None:
    """Return whose time the CPU clock of a timer counts, or None if that has ended.

    Args:
        clockid: a CPU clock, as drawn in ``time/clocks.py``.
    """
    kind = PIDTYPE_PID if clockid & CPUCLOCK_PERTHREAD else PIDTYPE_TGID
    task = pid_task(number, kind)
    if task is None or task.signal is None:
        return None
    ended = task.exit_state if clockid & CPUCLOCK_PERTHREAD else not task.signal.live
    return None if ended else task


def cpu_timer_sample(task: task_struct, clockid: int) -> int:
    """Return what the CPU clock ``clockid`` shows for ``task``, or its process, in ns."""
    per_thread = clockid & CPUCLOCK_PERTHREAD
    time = task_cputime(task) if per_thread else thread_group_cputime(task)
    return cpu_clock_sample(clockid & 3, time)


def arm_cpu_timer(timer: cpu_timer, task: task_struct, clockid: int) -> None:
    """Queue ``timer`` for its ``expires``, on the CPU time of ``task`` or of its process."""
    k: Kernel = timer.k
    signal = task.signal
    assert signal is not None
    timers = task.posix_cputimers if clockid & CPUCLOCK_PERTHREAD else signal.posix_cputimers
    tree = timers.bases[clockid & 3]
    rb_add_cached(timer.node, tree, _KEY)
    timer.head = tree.va
    signal.has_timers = 1
    count_cputimers(k, 1)
    set_cputime_event(k)


def disarm_cpu_timer(timer: cpu_timer) -> None:
    """Take ``timer`` out of its queue, if it is in one."""
    if timer.head:
        rb_erase_cached(timer.node, rb_root_cached.at(timer.k, timer.head))
        timer.head = 0
        count_cputimers(timer.k, -1)


def next_expired(timers: posix_cputimers, time: Cputime) -> cpu_timer | None:
    """Return a timer of a thread or process that has used ``time``, and is due."""
    for clock, tree in enumerate(timers.bases):
        first = tree.rb_leftmost
        if first is not None:
            timer = container_of(first, cpu_timer, "node")
            if timer.expires <= cpu_clock_sample(clock, time):
                return timer
    return None


def drop_cpu_timers(timers: posix_cputimers) -> None:
    """The thread or process has ended: nothing of this will expire any more."""
    for tree in timers.bases:
        while (first := tree.rb_leftmost) is not None:
            disarm_cpu_timer(container_of(first, cpu_timer, "node"))


def first_expiry(tree: rb_root_cached) -> int:
    """Return when the first timer of a queue expires, ns of CPU time; NEVER if there is none."""
    first = tree.rb_leftmost
    return NEVER if first is None else container_of(first, cpu_timer, "node").expires


def _until(k: Kernel, clock: int, expires: int, time: Cputime) -> int:
    """Return how long the running task must run at least until CPUCLOCK_* shows ``expires``.

    For user time the way to ring 3 comes on top.  Without it, what is left could be less than that,
    and looking at it in vain, for ever, would be all that is done.
    """
    left = expires - cpu_clock_sample(clock, time)
    turn_cost: int = k.data(sched_data).runqueues.turn_cost
    return left + turn_cost if clock == CPUCLOCK_VIRT else left


def _left(timers: posix_cputimers, time: Cputime) -> int:
    """Return how much CPU time is left until the first of a thread's or process's timers."""
    return min((_until(timers.k, clock, first_expiry(tree), time)
                for clock, tree in enumerate(timers.bases) if tree.rb_leftmost is not None),
               default=NEVER)


def _left_of_itimers(signal: signal_struct, time: Cputime) -> int:
    return min((_until(signal.k, clock, signal.it[clock].expires, time)
                for clock in ITIMER_CLOCKS if signal.it[clock].expires), default=NEVER)


def _left_of_limit(signal: signal_struct, time: Cputime) -> int:
    soft = signal.rlim[RLIMIT_CPU].rlim_cur
    if soft == RLIM_INFINITY:
        return NEVER
    left: int = soft * NSEC_PER_SEC - cpu_clock_sample(CPUCLOCK_PROF, time)
    return left


def update_rlimit_cpu(task: task_struct) -> None:
    """RLIMIT_CPU of the process of ``task`` has been set: look at it, now and at each switch.

    Children have the limit, too, without being counted; so it is never taken back that there are
    limits.
    """
    signal = task.signal
    assert signal is not None
    signal.cpu_limited = 1
    task.k.data(pcpu_hot).cputimers_active |= CPU_LIMITS
    set_cputime_event(task.k)


def set_cputime_event(k: Kernel) -> None:
    """Set the event to when the running task's first timer on CPU time expires."""
    current = k.current()
    signal = current.signal
    event = k.data(sched_data).cputime_event
    left = NEVER
    if signal is not None and (signal.has_timers or signal.cpu_limited):
        process = thread_group_cputime(current)
        left = min(_left(current.posix_cputimers, task_cputime(current)),
                   _left(signal.posix_cputimers, process), _left_of_itimers(signal, process),
                   _left_of_limit(signal, process))
    if left == NEVER:
        hrtimer_cancel(event)
    else:
        hrtimer_start(event, ktime_get(k) + max(1, left), HrtimerFn.CPUTIME_EVENT, 0)


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


# ---- sleeping


def arm_cpu_sleep(sleeper: task_struct, task: task_struct, clockid: int, expires: int) -> None:
    """Have ``sleeper`` woken when a CPU clock of ``task`` shows ``expires``."""
    timer: cpu_timer = sleeper.cpu_sleep
    timer.expires, timer.sleeper = expires, sleeper
    arm_cpu_timer(timer, task, clockid)


def finish_cpu_sleep(sleeper: task_struct) -> None:
    """It is awake, for whatever reason."""
    disarm_cpu_timer(sleeper.cpu_sleep)
