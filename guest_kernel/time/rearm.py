"""Timers that go on when their signal is taken.

A timer with an interval is not armed while its signal waits, so that it cannot outrun who takes it;
what it has missed then is made good, or counted.

See: Linux kernel/time/itimer.c posixtimer_rearm_itimer().
"""

from __future__ import annotations

from guest_kernel.layout.sched import signal_struct
from guest_kernel.time.hrtimer import hrtimer_forward, hrtimer_restart


def itimer_rearm(signal: signal_struct) -> None:
    """SIGALRM has been taken: arm ITIMER_REAL again, for the first multiple that is to come."""
    if signal.it_real_incr and not signal.real_timer.is_queued:
        hrtimer_forward(signal.real_timer, signal.it_real_incr)
        hrtimer_restart(signal.real_timer)
