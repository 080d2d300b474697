"""Timers with nanosecond resolution: a red-black tree in RAM, and one comparator of the HPET.

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
from guest_kernel.layout.declare import PHYSICAL_MASK, container_of
from guest_kernel.layout.rbtree import rb_root_cached
from guest_kernel.layout.sched import hrtimer, rq, sched_data
from guest_kernel.lib.rbtree import rb_add_cached, rb_erase_cached, rb_first_cached
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
_MATCHED: Final = NEVER - 1  # expires_next: it has interrupted, and is enabled for what comes

_KEY: Final = hrtimer.offsetof("expires") - hrtimer.offsetof("node")

# Words behind k.rq_word: when the comparator is set to, and the end of the running task's turn.
_RUNQUEUES: Final = sched_data.offsetof("runqueues")
EXPIRES_NEXT: Final = sched_data.offsetof("expires_next") - _RUNQUEUES >> 3
_HRTICK: Final = rq.offsetof("hrtick") >> 3
_LEFTMOST: Final = (sched_data.offsetof("hrtimers") + rb_root_cached.offsetof("rb_leftmost")
                    - _RUNQUEUES) >> 3


class HrtimerFn(IntEnum):
    """What a timer does; a number, because RAM is all that a snapshot keeps."""

    WAKE_TASK = 1  # wake the task that ``data`` points at
    DELAYED_WORK = 2  # queue the delayed_work
    IDLE_WORKERS = 3  # end workers of the worker_pool that have been idle for long
    MAYDAY = 4  # look whether the worker_pool has got the worker that it needs


FUNCTIONS: Final[dict[int, Callable[[hrtimer], None]]] = {}


def hrtimers_init(k: Kernel) -> None:
    """Start the HPET's counter at the present time, with no comparator armed."""
    k.data(sched_data).expires_next = NEVER
    k.machine.write_mmio(HPET_COUNTER, 8, ktime_get(k))
    k.machine.write_mmio(HPET_CONFIG, 8, ENABLE_LEGACY)


def hrtimer_start(timer: hrtimer, expires: int, function: int, data: int) -> None:
    """Arm ``timer``, which may be armed already.

    Args:
        expires: monotonic nanoseconds.
        function: HrtimerFn.
        data: what it works on.
    """
    k: Kernel = timer.k
    if timer.is_queued:
        hrtimer_cancel(timer)
    timer.expires, timer.function, timer.data = expires, function, data
    rb_add_cached(timer.node, k.data(sched_data).hrtimers, _KEY)
    timer.is_queued = 1
    if expires < k.u64[k.rq_word + EXPIRES_NEXT]:
        tick_program_event(k, expires)


def hrtimer_cancel(timer: hrtimer) -> None:
    """Disarm ``timer`` if it is armed."""
    if timer.is_queued:
        k: Kernel = timer.k
        rb_erase_cached(timer.node, k.data(sched_data).hrtimers)
        timer.is_queued = 0


def next_timer(k: Kernel) -> hrtimer | None:
    """Return the timer that expires first."""
    node = rb_first_cached(k.data(sched_data).hrtimers)
    return container_of(node, hrtimer, "node") if node is not None else None


def hrtimer_interrupt(k: Kernel) -> None:
    """Run what has expired, then set the comparator again."""
    now = ktime_get(k)
    while (timer := next_timer(k)) is not None and timer.expires <= now:
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
    first = u64[q + _LEFTMOST] & PHYSICAL_MASK
    return min(event, u64[(first + _KEY) >> 3]) if first else event


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
