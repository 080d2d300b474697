"""The idle task: runs when nobody else can, and is on no queue.

See: Linux kernel/sched/idle.c.
"""

from __future__ import annotations

from guest_kernel.errors import BUG
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.sched.rq import RQ_IDLE, resched_curr, sched_class


class idle_sched_class(sched_class):
    """The one task of the last class."""

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        BUG("the idle task cannot be put on the run queue")

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        BUG("bad: scheduling from the idle thread!")

    def pick_task(self, k: Kernel) -> int:
        idle: int = k.u64[k.rq_word + RQ_IDLE] & PHYSICAL_MASK
        return idle

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        resched_curr(k)
