"""Timers with nanosecond resolution: a queue for each clock, and one comparator of the HPET.

A *base* is a clock that timers wait on, with a red-black tree of them in RAM: the monotonic clock,
and the wall clock, which can be set and then takes its timers along.  Above the bases is the CPU's
one comparator, set to whichever timer comes first; ``active_bases`` says where to look.

The comparator is set to the earliest timer, or, while tasks compete for the CPU, to the end of the
running task's turn if that is earlier.  With one task and no timer there are no interrupts at all.

What is cancelled or put off leaves the comparator as it is: setting it costs more than an interrupt
that finds nothing to do, and mostly something earlier comes first.

See: Linux kernel/time/hrtimer.c, kernel/time/tick-sched.c; IA-PC HPET Specification.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from emulator.devices.hpet import (
    ENABLE_CNF,
    GENERAL_CONFIGURATION,
    INT_ENB_CNF,
    LEG_RT_CNF,
    MAIN_COUNTER_VALUE,
    TIMER_COMPARATOR,
    TIMER_CONFIGURATION,
    Hpet,
)
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.rbtree import rb_root_cached
from guest_kernel.layout.sched import (
    HRTIMER_BASE_MONOTONIC,
    HRTIMER_MAX_CLOCK_BASES,
    hrtimer,
    hrtimer_clock_base,
    hrtimer_cpu_base,
    rq,
    sched_data,
)
from guest_kernel.lib.rbtree import rb_add_cached, rb_erase_cached
from guest_kernel.time.timekeeping import ktime_get

HPET_COUNTER: Final = Hpet.BASE + MAIN_COUNTER_VALUE
HPET_CONFIG: Final = Hpet.BASE + GENERAL_CONFIGURATION
HPET_T0_CONFIG: Final = Hpet.BASE + TIMER_CONFIGURATION
HPET_T0_COMPARATOR: Final = Hpet.BASE + TIMER_COMPARATOR
ENABLE_LEGACY: Final = ENABLE_CNF | LEG_RT_CNF  # timer 0 is IRQ 0
T0_ONE_SHOT: Final = INT_ENB_CNF
T0_OFF: Final = 0

TICK_NSEC: Final = 4_000_000  # HZ=250
NEVER: Final = (1 << 64) - 1
KTIME_MAX: Final = (1 << 63) - 1  # ns; a time that does not come
_MATCHED: Final = NEVER - 1  # expires_next: it has interrupted, and is enabled for what comes

_KEY: Final = hrtimer.offsetof("expires") - hrtimer.offsetof("node")

# Words behind k.rq_word: when the comparator is set to, the end of the running task's turn, and of
# each base its first timer.
_RUNQUEUES: Final = sched_data.offsetof("runqueues")
_BASES: Final = sched_data.offsetof("hrtimer_bases") - _RUNQUEUES
EXPIRES_NEXT: Final = _BASES + hrtimer_cpu_base.offsetof("expires_next") >> 3
_ACTIVE_BASES: Final = _BASES + hrtimer_cpu_base.offsetof("active_bases") >> 2  # of 32 bits
_XTIME_BASE: Final = sched_data.offsetof("xtime_base") - _RUNQUEUES >> 3
_HRTICK: Final = rq.offsetof("hrtick") >> 3
_NODE: Final = hrtimer.offsetof("node")


def _base_offset(index: int) -> int:
    return hrtimer_cpu_base.offsetof("clock_base") + index * hrtimer_clock_base.size


_LEFTMOST: Final = tuple(
    _BASES + _base_offset(index) + hrtimer_clock_base.offsetof("active")
    + rb_root_cached.offsetof("rb_leftmost") >> 3 for index in range(HRTIMER_MAX_CLOCK_BASES))
_FIRST_OF_MONOTONIC: Final = _LEFTMOST[HRTIMER_BASE_MONOTONIC]
_ONLY_MONOTONIC: Final = 1 << HRTIMER_BASE_MONOTONIC


class HrtimerFn(IntEnum):
    """What a timer does; a number, because RAM is all that a snapshot keeps."""

    WAKE_TASK = 1  # wake the task that ``data`` points at
    DELAYED_WORK = 2  # queue the delayed_work
    IDLE_WORKERS = 3  # end workers of the worker_pool that have been idle for long
    MAYDAY = 4  # look whether the worker_pool has got the worker that it needs
    ITIMER_REAL = 5  # send SIGALRM to the group of the signal_struct
    CPUTIME_EVENT = 6  # look at the running task's timers on CPU time
    POSIX_TIMER = 7  # send the signal of the k_itimer that it is part of


FUNCTIONS: Final[dict[int, Callable[[hrtimer], None]]] = {}


def hrtimers_init(k: Kernel) -> None:
    """Start the HPET's counter at the present time, with no comparator armed."""
    bases = k.data(sched_data).hrtimer_bases
    bases.expires_next = NEVER
    for index, base in enumerate(bases.clock_base):
        base.index = index
    k.machine.write_mmio(HPET_COUNTER, 8, ktime_get(k))
    k.machine.write_mmio(HPET_CONFIG, 8, ENABLE_LEGACY)


def base_offset(k: Kernel, base: int) -> int:
    """Return how many ns the clock of ``base`` is ahead of the monotonic one."""
    return k.u64[k.rq_word + _XTIME_BASE] if base else 0


def _active(k: Kernel, base: int) -> rb_root_cached:
    tree: rb_root_cached = k.data(sched_data).hrtimer_bases.clock_base[base].active
    return tree


def hrtimer_start(timer: hrtimer, expires: int, function: int, data: int,
                  base: int = HRTIMER_BASE_MONOTONIC) -> None:
    """Arm ``timer``, which may be armed already.

    Args:
        expires: ns of the clock of ``base``; what is past expires at once.
        function: HrtimerFn.
        data: what it works on.
        base: HRTIMER_BASE_*.
    """
    k: Kernel = timer.k
    if timer.is_queued:
        hrtimer_cancel(timer)
    timer.expires, timer.function, timer.data, timer.base = expires, function, data, base
    rb_add_cached(timer.node, _active(k, base), _KEY)
    timer.is_queued = 1
    k.u32[2 * k.rq_word + _ACTIVE_BASES] |= 1 << base
    expires = max(0, expires - base_offset(k, base))
    if expires < k.u64[k.rq_word + EXPIRES_NEXT]:
        tick_program_event(k, expires)


def hrtimer_restart(timer: hrtimer) -> None:
    """Arm ``timer`` for ``expires`` as it is, to do what it did last."""
    hrtimer_start(timer, timer.expires, timer.function, timer.data, timer.base)


def hrtimer_forward(timer: hrtimer, interval: int, ahead: int = 0) -> int:
    """Move the expiry of ``timer``, which is not armed, to the future, by whole intervals.

    Args:
        interval: ns, not 0.
        ahead: how far into the future, ns.

    Returns:
        By how many; 0: it is in the future as it is.
    """
    now = ktime_get(timer.k) + base_offset(timer.k, timer.base) + ahead
    expires = timer.expires
    if now < expires:
        return 0
    missed = (now - expires) // interval + 1
    timer.expires = min(expires + missed * interval, KTIME_MAX)
    return missed


def hrtimer_remaining(timer: hrtimer) -> int:
    """Return how many ns are left until ``timer`` expires; less than 0 if it is late."""
    return timer.expires - base_offset(timer.k, timer.base) - ktime_get(timer.k)


def hrtimer_cancel(timer: hrtimer) -> None:
    """Disarm ``timer`` if it is armed."""
    if timer.is_queued:
        k: Kernel = timer.k
        base = timer.base
        rb_erase_cached(timer.node, _active(k, base))
        timer.is_queued = 0
        if not k.u64[k.rq_word + _LEFTMOST[base]]:
            k.u32[2 * k.rq_word + _ACTIVE_BASES] &= ~(1 << base)


def next_expired(k: Kernel, now: int) -> hrtimer | None:
    """Return a timer that has expired, base by base and of each the earliest first.

    Args:
        now: monotonic ns.
    """
    u64, q = k.u64, k.rq_word
    for base, leftmost in enumerate(_LEFTMOST):
        first = u64[q + leftmost] & PHYSICAL_MASK
        if first and u64[(first + _KEY) >> 3] <= now + base_offset(k, base):
            return hrtimer(k, first - _NODE)
    return None


def hrtimer_interrupt(k: Kernel) -> None:
    """Run what has expired, then set the comparator again."""
    now = ktime_get(k)
    while (timer := next_expired(k, now)) is not None:
        hrtimer_cancel(timer)
        FUNCTIONS[timer.function](timer)
    event = _next_event(k)
    if event == NEVER:
        # Most often a turn is over and schedule() is about to begin another.
        k.u64[k.rq_word + EXPIRES_NEXT] = _MATCHED
    else:
        tick_program_event(k, event)


def _next_event(k: Kernel) -> int:
    u64, q = k.u64, k.rq_word
    event: int = u64[q + _HRTICK]
    first = u64[q + _FIRST_OF_MONOTONIC] & PHYSICAL_MASK
    if first:
        event = min(event, u64[(first + _KEY) >> 3])
    if k.u32[2 * q + _ACTIVE_BASES] & ~_ONLY_MONOTONIC:
        for base, leftmost in enumerate(_LEFTMOST):
            first = u64[q + leftmost] & PHYSICAL_MASK
            if first:
                event = min(event, max(0, u64[(first + _KEY) >> 3] - base_offset(k, base)))
    return event


def clock_was_set(k: Kernel) -> None:
    """Set the comparator again: the wall clock has been set, and took its timers along."""
    tick_program_event(k, _next_event(k))


def reprogram(k: Kernel) -> None:
    """Set the comparator to the next thing that is to happen, and to nothing else: for idling."""
    event = _next_event(k)
    if event != k.u64[k.rq_word + EXPIRES_NEXT]:
        tick_program_event(k, event)


def tick_program_event(k: Kernel, event: int) -> None:
    """Set the comparator to ``event``, or at least to the next nanosecond; NEVER: stop it."""
    machine = k.machine
    k.u64[k.rq_word + EXPIRES_NEXT] = event
    if event == NEVER:
        machine.write_mmio(HPET_T0_CONFIG, 8, T0_OFF)
        return
    machine.write_mmio(HPET_T0_CONFIG, 8, T0_ONE_SHOT)
    machine.write_mmio(HPET_T0_COMPARATOR, 8, max(event, machine.clock + 1))
