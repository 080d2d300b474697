"""Timers that go on when their signal is taken.

A timer with an interval is not armed while its signal waits, so that it cannot outrun who takes it;
what it has missed then is made good, or counted: its *overrun*.  The signal of a timer of
timer_create(2) is part of the timer, and may be out of date when its turn comes.

See: Linux kernel/time/posix-timers.c posixtimer_deliver_signal(), kernel/time/itimer.c; as since
6.13, where a signal of a timer that was set anew or deleted is dropped.
"""

from __future__ import annotations

import struct
from typing import Final

from guest_kernel.layout.declare import container_of
from guest_kernel.layout.posix_timers import (
    POSIX_TIMER_ARMED,
    POSIX_TIMER_REQUEUE_PENDING,
    k_itimer,
)
from guest_kernel.layout.sched import signal_struct
from guest_kernel.layout.signal import sigqueue
from guest_kernel.mm.slab import kfree
from guest_kernel.process.pid import put_pid
from guest_kernel.process.user import free_uid
from guest_kernel.time.cputimers import arm_cpu_timer, cpu_timer_sample, cpu_timer_task
from guest_kernel.time.hrtimer import KTIME_MAX, TICK_NSEC, hrtimer_forward, hrtimer_restart

_INFO: Final = sigqueue.offsetof("info")
_INFO_SIZE: Final = 48
_SI_OVERRUN: Final = 20
_INT: Final = struct.Struct("<i")
_INT_MAX: Final = (1 << 31) - 1


def itimer_rearm(signal: signal_struct) -> None:
    """SIGALRM has been taken: arm ITIMER_REAL again, for the first multiple that is to come."""
    if signal.it_real_incr and not signal.real_timer.is_queued:
        hrtimer_forward(signal.real_timer, signal.it_real_incr)
        hrtimer_restart(signal.real_timer)


def timer_overrun(timer: k_itimer) -> int:
    """Return how many expiries the last signal stood for, beside its own; at most INT_MAX."""
    return min(timer.it_overrun_last, _INT_MAX)


def bump_cpu_timer(timer: k_itimer, now: int) -> int:
    """Move the expiry of a timer on CPU time behind ``now``, by whole intervals, and count them.

    Returns:
        When it expires.
    """
    late = now - timer.cpu.expires
    if timer.it_interval and late >= 0:
        missed = late // timer.it_interval + 1
        timer.cpu.expires = min(timer.cpu.expires + missed * timer.it_interval, KTIME_MAX)
        timer.it_overrun += missed
    expires: int = timer.cpu.expires
    return expires


def posixtimer_rearm(timer: k_itimer, *, ignored: bool = False) -> None:
    """Arm a timer with an interval again, counting what it has missed.

    Args:
        ignored: nobody takes its signal: let it expire once a tick at most.
    """
    timer.it_status = POSIX_TIMER_ARMED
    if timer.it_cpu_pid is not None:
        task = cpu_timer_task(timer.it_cpu_pid, timer.it_clock)
        if task is not None:
            now = cpu_timer_sample(task, timer.it_clock)
            bump_cpu_timer(timer, now + (TICK_NSEC if ignored else 0))
            arm_cpu_timer(timer.cpu, task, timer.it_clock)
        return
    timer.it_overrun += hrtimer_forward(timer.timer, timer.it_interval,
                                        TICK_NSEC if ignored else 0)
    hrtimer_restart(timer.timer)


def posixtimer_deliver_signal(entry: sigqueue) -> bytes | None:
    """A timer's signal is taken: arm the timer again, and return the siginfo.

    Returns:
        None: the timer has been set anew or deleted since; there is no signal.
    """
    timer = container_of(entry, k_itimer, "sigq")
    if timer.it_signal is None:
        free_posix_timer(timer)
        return None
    if timer.it_signal_seq != timer.it_sigqueue_seq:
        return None
    info = bytearray(timer.k.u8[entry.pa + _INFO : entry.pa + _INFO + _INFO_SIZE])
    if timer.it_interval:
        posixtimer_rearm(timer)
        timer.it_overrun_last, timer.it_overrun = timer.it_overrun, -1
        timer.it_signal_seq += 1
        _INT.pack_into(info, _SI_OVERRUN, timer_overrun(timer))
    return bytes(info)


def posixtimer_signal_dropped(entry: sigqueue) -> None:
    """A timer's signal, which waited, was dropped by somebody: the timer goes on without."""
    timer = container_of(entry, k_itimer, "sigq")
    if timer.it_signal is None:
        free_posix_timer(timer)
    elif (timer.it_status == POSIX_TIMER_REQUEUE_PENDING
          and timer.it_signal_seq == timer.it_sigqueue_seq):
        posixtimer_rearm(timer, ignored=True)


def free_posix_timer(timer: k_itimer) -> None:
    """Free a timer that is deleted, and whose signal does not wait."""
    for number in (timer.it_pid, timer.it_cpu_pid):
        if number is not None:
            put_pid(number)
    user = timer.sigq.user
    assert user is not None
    user.sigpending -= 1
    free_uid(user)
    kfree(timer)
