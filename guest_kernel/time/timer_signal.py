"""The signal that a timer of timer_create(2) sends when it expires.

See: Linux kernel/time/posix-timers.c posix_timer_queue_signal(), kernel/signal.c
posixtimer_send_sigqueue().
"""

from __future__ import annotations

from guest_kernel.layout.posix_timers import (
    POSIX_TIMER_DISARMED,
    POSIX_TIMER_REQUEUE_PENDING,
    k_itimer,
)
from guest_kernel.layout.sched import task_struct
from guest_kernel.process.pid import PIDTYPE_TGID, pid_task
from guest_kernel.signal.signal import send_sigqueue
from guest_kernel.time.rearm import posixtimer_rearm


def posix_timer_queue_signal(timer: k_itimer) -> None:
    """``timer`` has expired: queue its signal; a timer with an interval waits until it is taken.

    If the signal is ignored nobody will take it, and the timer goes on at once.
    """
    timer.it_status = POSIX_TIMER_REQUEUE_PENDING if timer.it_interval else POSIX_TIMER_DISARMED
    timer.it_sigqueue_seq = timer.it_signal_seq
    target = _target(timer)
    if target is None:
        return
    if not send_sigqueue(timer.sigq, target, timer.it_pid_type) and timer.it_interval:
        posixtimer_rearm(timer, ignored=True)


def _target(timer: k_itimer) -> task_struct | None:
    """Return who gets the signal: of a process preferably the thread that runs."""
    task = pid_task(timer.it_pid, timer.it_pid_type)
    if task is None or task.sighand is None:
        return None
    current: task_struct = timer.k.current()
    if (timer.it_pid_type == PIDTYPE_TGID and current.signal == task.signal
            and not current.exit_state):
        return current
    return task
