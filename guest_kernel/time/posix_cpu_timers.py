"""Timers on CPU time that expire.

See: ``time/cputimers.py``, for where they wait; Linux kernel/time/posix-cpu-timers.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.sched import CPUCLOCK_PROF, CPUCLOCK_VIRT, hrtimer, task_struct
from guest_kernel.process.pid import PIDTYPE_TGID
from guest_kernel.signal.numbers import SIGPROF, SIGVTALRM
from guest_kernel.signal.signal import kernel_info, send_signal, signal_of
from guest_kernel.time.clocks import Cputime, thread_group_cputime
from guest_kernel.time.cputimers import cpu_clock_sample, set_cpu_itimer, set_cputime_event
from guest_kernel.time.hrtimer import FUNCTIONS, HrtimerFn

_ITIMER_SIGNALS: Final = {CPUCLOCK_PROF: SIGPROF, CPUCLOCK_VIRT: SIGVTALRM}


def run_posix_cpu_timers(task: task_struct) -> None:
    """Let expire what waits for no more CPU time than ``task``, which runs, or its process has."""
    signal = signal_of(task)
    if not signal.has_timers or task.exit_state:
        return
    _check_itimers(task, thread_group_cputime(task))


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
