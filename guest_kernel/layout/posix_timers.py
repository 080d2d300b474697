"""A timer of timer_create(2).  See Linux include/linux/posix-timers.h."""

from typing import Final

from guest_kernel.layout.declare import I32, I64, U32, U64, Embed, Ptr, Struct
from guest_kernel.layout.list import hlist_node
from guest_kernel.layout.sched import cpu_timer, hrtimer, pid, signal_struct
from guest_kernel.layout.signal import sigqueue

# k_itimer.it_status
POSIX_TIMER_DISARMED: Final = 0
POSIX_TIMER_ARMED: Final = 1
POSIX_TIMER_REQUEUE_PENDING: Final = 2  # its signal waits; it is armed again when that is taken


class k_itimer(Struct):
    """A timer that a program has made."""

    list = Embed(hlist_node, "its place in signal_struct.posix_timers")
    it_signal = Ptr(lambda: signal_struct, "the process that it belongs to; NULL: it is deleted")
    it_id = I32("its number there")
    it_clock = I32("its clock: CLOCK_*, or that of a CPU's time")
    it_status = U32("POSIX_TIMER_*")
    it_sigev_notify = I32("SIGEV_*")
    it_pid = Ptr(lambda: pid, "who gets the signal; referenced; NULL: SIGEV_NONE")
    it_pid_type = U32("PIDTYPE_TGID: the process; PIDTYPE_PID: one thread")
    it_signal_seq = U32("raised by each setting and each signal that is taken")
    it_sigqueue_seq = U32("it_signal_seq when the signal was queued: another one is out of date")
    it_overrun = I64("expiries since the signal was queued that are not counted yet, - 1")
    it_overrun_last = I64("expiries between the last two signals")
    it_interval = U64("ns; 0: it expires once")
    sigq = Embed(sigqueue, "its signal")
    timer = Embed(hrtimer, "on other clocks: where it waits")
    cpu = Embed(cpu_timer, "on CPU time: where it waits")
    it_cpu_pid = Ptr(lambda: pid, "on CPU time: whose; referenced")
