"""Timers with nanosecond resolution: a red-black tree in RAM, and one comparator of the HPET.

The comparator is set to the earliest timer, or, while tasks compete for the CPU, to the next
scheduler tick if that is earlier.  With one task and no timer there are no interrupts at all.

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
from guest_kernel.layout.declare import container_of
from guest_kernel.layout.sched import hrtimer, sched_data
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

_KEY: Final = hrtimer.offsetof("expires") - hrtimer.offsetof("node")


class HrtimerFn(IntEnum):
    """What a timer does; a number, because RAM is all that a snapshot keeps."""

    WAKE_TASK = 1  # wake the task that ``data`` points at


FUNCTIONS: Final[dict[int, Callable[[hrtimer], None]]] = {}


def hrtimers_init(k: Kernel) -> None:
    """Start the HPET's counter at the present time, with no comparator armed."""
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
    reprogram(k)


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
    reprogram(k)


def reprogram(k: Kernel) -> None:
    """Set the comparator to the next thing that is to happen.  See Linux tick_program_event()."""
    timer = next_timer(k)
    event = timer.expires if timer is not None else None
    runqueue = k.data(sched_data).runqueues
    if runqueue.nr_running > 1:
        tick = ktime_get(k) + TICK_NSEC
        event = tick if event is None else min(event, tick)
    machine = k.machine
    if event is None:
        machine.write_mmio(HPET_T0_CONFIG, 8, T0_OFF)
        return
    machine.write_mmio(HPET_T0_CONFIG, 8, T0_ONE_SHOT)
    machine.write_mmio(HPET_T0_COMPARATOR, 8, max(event, ktime_get(k) + 1))

