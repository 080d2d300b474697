"""SCHED_FIFO and SCHED_RR: the highest priority runs, and runs until it sleeps.

Tasks of one priority form a queue, in which the running one stays at the head.  A SCHED_FIFO task
keeps the CPU; a SCHED_RR task goes to the end of the queue when its time slice is over.

See: Linux kernel/sched/rt.c; sched(7).  There is no throttling: kernel.sched_rt_runtime_us is -1.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.sched import SCHED_RR, rq, task_struct
from guest_kernel.lib.list import list_add_tail_va, list_add_va, list_del_va
from guest_kernel.sched.rq import (
    DEQUEUE_SLEEP,
    ENQUEUE_HEAD,
    RQ_CURR,
    TASK_POLICY,
    TASK_PRIO,
    resched_curr,
    sched_class,
    turn_left,
)
from guest_kernel.time.hrtimer import NEVER

RR_TIMESLICE: Final = 100_000_000  # ns

_BITMAP: Final = rq.offsetof("rt.active.bitmap") >> 3
_QUEUE: Final = rq.offsetof("rt.active.queue")
_NR_RUNNING: Final = rq.offsetof("rt.rt_nr_running") >> 2
_RUN_LIST: Final = task_struct.offsetof("rt.run_list")
_TIME_SLICE: Final = task_struct.offsetof("rt.time_slice") >> 3
_ON_RQ: Final = task_struct.offsetof("rt.on_rq")


class rt_sched_class(sched_class):
    """Tasks in ``rq.rt``, the running one among them."""

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        u64, u32, q = k.u64, k.u32, k.rq_word
        prio = u32[(task + TASK_PRIO) >> 2]
        add = list_add_va if flags & ENQUEUE_HEAD else list_add_tail_va
        add(u64, task + _RUN_LIST + PAGE_OFFSET, _head(k, prio))
        u64[q + _BITMAP + (prio >> 6)] |= 1 << (prio & 63)
        u32[2 * q + _NR_RUNNING] += 1
        u32[(task + _ON_RQ) >> 2] = 1

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        u64, u32, q = k.u64, k.u32, k.rq_word
        prio = u32[(task + TASK_PRIO) >> 2]
        if flags & DEQUEUE_SLEEP:
            _save_slice(k, task)
        list_del_va(u64, task + _RUN_LIST + PAGE_OFFSET)
        head = _head(k, prio)
        if u64[(head & PHYSICAL_MASK) >> 3] == head:
            u64[q + _BITMAP + (prio >> 6)] &= ~(1 << (prio & 63))
        u32[2 * q + _NR_RUNNING] -= 1
        u32[(task + _ON_RQ) >> 2] = 0

    def pick_task(self, k: Kernel) -> int:
        u64, q = k.u64, k.rq_word
        bits = u64[q + _BITMAP] or u64[q + _BITMAP + 1] << 64
        if not bits:
            return 0
        prio = (bits & -bits).bit_length() - 1
        first: int = u64[(_head(k, prio) & PHYSICAL_MASK) >> 3] & PHYSICAL_MASK
        return first - _RUN_LIST

    def put_prev_task(self, k: Kernel, task: int) -> None:
        _save_slice(k, task)

    def yield_task(self, k: Kernel, task: int) -> None:
        _requeue_tail(k, task)

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        u32 = k.u32
        curr = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
        if u32[(task + TASK_PRIO) >> 2] < u32[(curr + TASK_PRIO) >> 2]:
            resched_curr(k)

    def turn(self, k: Kernel, task: int) -> int:
        if k.u32[(task + TASK_POLICY) >> 2] != SCHED_RR:
            return 0
        return k.i64[(task >> 3) + _TIME_SLICE] or RR_TIMESLICE

    def task_tick(self, k: Kernel, task: int) -> None:
        k.i64[(task >> 3) + _TIME_SLICE] = 0  # the next turn is a whole one
        node = task + _RUN_LIST >> 3
        if k.u64[node] != k.u64[node + 1]:  # it is not alone
            _requeue_tail(k, task)
            resched_curr(k)

    def get_rr_interval(self, k: Kernel, task: int) -> int:
        return RR_TIMESLICE if k.u32[(task + TASK_POLICY) >> 2] == SCHED_RR else 0


def _head(k: Kernel, prio: int) -> int:
    """Return the address of the queue of a priority."""
    return (k.rq_word << 3) + _QUEUE + 16 * prio + START_KERNEL_MAP


def _save_slice(k: Kernel, task: int) -> None:
    """Keep what is left of the running task's turn."""
    left = turn_left(k)
    if left != NEVER:
        k.i64[(task >> 3) + _TIME_SLICE] = left


def _requeue_tail(k: Kernel, task: int) -> None:
    u64, node = k.u64, task + _RUN_LIST + PAGE_OFFSET
    list_del_va(u64, node)
    list_add_tail_va(u64, node, _head(k, k.u32[(task + TASK_PRIO) >> 2]))
