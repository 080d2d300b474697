"""Policies for learning, one of which may take the place of the fair one.

They are those of "Operating Systems: Three Easy Pieces", chapters "Scheduling: Introduction",
"Scheduling: The Multi-Level Feedback Queue" and "Scheduling: Proportional Share":

    fifo     first come, first served, to completion
    sjf      the shortest job of those that are there, to completion
    stcf     the shortest time to completion, at once
    rr       everyone in turn, for a quantum
    mlfq     the uppermost queue, in turn; who has used up the allotment of a level sinks
    lottery  a ticket is drawn for each quantum
    stride   the same shares without chance

A job *sleeps* as any task does, and comes back at the end of its queue.

What a policy must be told of a task is the task's ``sched_runtime``, set by sched_setattr(2) and
inherited by children: for sjf and stcf how many ns of CPU time it will need from then on (who says
nothing is taken to need none, and goes first), for lottery and stride how many tickets it has (who
says nothing has the weight of its nice value: 1024, and 1.25 times as many for each step down).

All runnable tasks, the running one among them, are in ``ostep_rq.queue``: only mlfq uses more than
the first.

See: Arpaci-Dusseau and Arpaci-Dusseau, https://ostep.org; Waldspurger and Weihl, "Lottery
Scheduling", 1994, and "Stride Scheduling", 1995.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.sched import rq, task_struct
from guest_kernel.lib.list import list_add_tail_va, list_add_va, list_del_va, list_for_each_va
from guest_kernel.sched.rq import (
    CUSTOM_SLICE,
    ENQUEUE_HEAD,
    GROUP_NODE,
    LOAD_WEIGHT,
    ON_RQ,
    RQ_CURR,
    RQ_HRTICK,
    RQ_QUANTUM,
    SLICE,
    resched_curr,
    sched_class,
    turn_left,
)
from guest_kernel.time.hrtimer import NEVER

STRIDE1: Final = 10**9  # the stride of one ticket

# Words behind k.rq_word, or halves.
_NR_RUNNING: Final = rq.offsetof("ostep.nr_running") >> 2
_NR_QUEUES: Final = rq.offsetof("ostep.nr_queues") >> 2
_BOOSTS: Final = rq.offsetof("ostep.boosts") >> 2
_ALLOTMENT: Final = rq.offsetof("ostep.allotment") >> 3
_BOOST_PERIOD: Final = rq.offsetof("ostep.boost_period") >> 3
_NEXT_BOOST: Final = rq.offsetof("ostep.next_boost") >> 3
_GLOBAL_PASS: Final = rq.offsetof("ostep.global_pass") >> 3
_QUEUE: Final = rq.offsetof("ostep.queue")

# Fields of a task: bytes.
_SUM_EXEC: Final = task_struct.offsetof("se.sum_exec_runtime")
_TIME_SLICE: Final = task_struct.offsetof("ostep.time_slice")
_JOB_END: Final = task_struct.offsetof("ostep.job_end")
_LEVEL: Final = task_struct.offsetof("ostep.level")
_TASK_BOOSTS: Final = task_struct.offsetof("ostep.boosts")
_USED: Final = task_struct.offsetof("ostep.used")
_PASS: Final = task_struct.offsetof("ostep.pass_value")


class ostep_sched_class(sched_class):
    """What these policies have in common: one queue, in order of arrival."""

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        add = list_add_va if flags & ENQUEUE_HEAD else list_add_tail_va
        add(k.u64, task + GROUP_NODE + PAGE_OFFSET, _head(k, k.u32[(task + _LEVEL) >> 2]))
        k.u32[(task + ON_RQ) >> 2] = 1
        k.u32[2 * k.rq_word + _NR_RUNNING] += 1

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        list_del_va(k.u64, task + GROUP_NODE + PAGE_OFFSET)
        k.u32[(task + ON_RQ) >> 2] = 0
        k.u32[2 * k.rq_word + _NR_RUNNING] -= 1

    def pick_task(self, k: Kernel) -> int:
        return _first(k, 0)

    def yield_task(self, k: Kernel, task: int) -> None:
        _requeue_tail(k, task)

    def task_fork(self, k: Kernel, task: int) -> None:
        if k.u32[(task + CUSTOM_SLICE) >> 2]:
            k.u64[(task + _JOB_END) >> 3] = k.u64[(task + SLICE) >> 3]

    def set_runtime(self, k: Kernel, task: int, runtime: int) -> None:
        k.u32[(task + CUSTOM_SLICE) >> 2] = int(runtime != 0)
        k.u64[(task + SLICE) >> 3] = runtime
        k.u64[(task + _JOB_END) >> 3] = k.u64[(task + _SUM_EXEC) >> 3] + runtime


class fifo_sched_class(ostep_sched_class):
    """First in, first out: the head of the queue runs until it sleeps or ends."""


class sjf_sched_class(ostep_sched_class):
    """Shortest job first: who has begun goes on; ``time_slice`` is 1 from then on."""

    def pick_task(self, k: Kernel) -> int:
        return next((task for task in _tasks(k) if k.i64[(task + _TIME_SLICE) >> 3]),
                    _shortest(k))

    def set_next_task(self, k: Kernel, task: int) -> None:
        k.i64[(task + _TIME_SLICE) >> 3] = 1

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        k.i64[(task + _TIME_SLICE) >> 3] = 0
        super().dequeue_task(k, task, flags)

    def yield_task(self, k: Kernel, task: int) -> None:
        k.i64[(task + _TIME_SLICE) >> 3] = 0
        super().yield_task(k, task)


class stcf_sched_class(ostep_sched_class):
    """Shortest time to completion first: the same at every arrival."""

    def pick_task(self, k: Kernel) -> int:
        return _shortest(k)

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        curr = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
        if _time_to_completion(k, task) < _time_to_completion(k, curr):
            resched_curr(k)


class rr_sched_class(ostep_sched_class):
    """Round robin; ``time_slice`` is what is left of a turn that was cut short, or 0."""

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        k.i64[(task + _TIME_SLICE) >> 3] = 0
        super().dequeue_task(k, task, flags)

    def put_prev_task(self, k: Kernel, task: int) -> None:
        left = turn_left(k)
        if left != NEVER:
            k.i64[(task + _TIME_SLICE) >> 3] = left

    def yield_task(self, k: Kernel, task: int) -> None:
        self._end_turn(k, task)

    def turn(self, k: Kernel, task: int) -> int:
        return k.i64[(task + _TIME_SLICE) >> 3] or k.u64[k.rq_word + RQ_QUANTUM]

    def task_tick(self, k: Kernel, task: int) -> None:
        self._end_turn(k, task)
        if k.u32[2 * k.rq_word + _NR_RUNNING] > 1:
            resched_curr(k)

    def get_rr_interval(self, k: Kernel, task: int) -> int:
        return k.u64[k.rq_word + RQ_QUANTUM]

    def _end_turn(self, k: Kernel, task: int) -> None:
        k.u64[k.rq_word + RQ_HRTICK] = NEVER
        k.i64[(task + _TIME_SLICE) >> 3] = 0
        _requeue_tail(k, task)


class mlfq_sched_class(rr_sched_class):
    """Multi-level feedback queue.

    A new task begins in the topmost queue.  Who has used the allotment of a level, in one turn or
    in many, sinks to the next.  Every boost period all tasks rise to the topmost queue again.
    """

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        _boost_if_due(k)
        u32, boosts = k.u32, k.u32[2 * k.rq_word + _BOOSTS]
        if u32[(task + _TASK_BOOSTS) >> 2] != boosts:
            _to_level(k, task, 0)
        super().enqueue_task(k, task, flags)

    def pick_task(self, k: Kernel) -> int:
        _boost_if_due(k)
        for level in range(k.u32[2 * k.rq_word + _NR_QUEUES]):
            if task := _first(k, level):
                return task
        return 0

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        u32 = k.u32
        curr = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
        if u32[(task + _LEVEL) >> 2] < u32[(curr + _LEVEL) >> 2]:
            resched_curr(k)

    def update_curr(self, k: Kernel, task: int, delta: int) -> None:
        u64, q = k.u64, k.rq_word
        level, last = k.u32[(task + _LEVEL) >> 2], k.u32[2 * q + _NR_QUEUES] - 1
        used, allotment = u64[(task + _USED) >> 3] + delta, u64[q + _ALLOTMENT]
        sinks = min(used // allotment, last - level)
        if sinks:
            used -= sinks * allotment
            _to_level(k, task, level + sinks)
            _requeue_tail(k, task)
        u64[(task + _USED) >> 3] = used

    def turn(self, k: Kernel, task: int) -> int:
        u64, q = k.u64, k.rq_word
        length = super().turn(k, task)
        if k.u32[(task + _LEVEL) >> 2] < k.u32[2 * q + _NR_QUEUES] - 1:
            length = min(length, u64[q + _ALLOTMENT] - u64[(task + _USED) >> 3])
        if u64[q + _BOOST_PERIOD]:
            length = min(length, max(1, u64[q + _NEXT_BOOST] - k.machine.clock))
        return length


class lottery_sched_class(rr_sched_class):
    """Lottery: each turn goes to whose ticket is drawn."""

    def pick_task(self, k: Kernel) -> int:
        total = sum(_tickets(k, task) for task in _tasks(k))
        if not total:
            return 0
        if k.u32[2 * k.rq_word + _NR_RUNNING] == 1:
            return _first(k, 0)
        winner = int.from_bytes(k.get_random_bytes(8), "little") % total
        for task in _tasks(k):
            winner -= _tickets(k, task)
            if winner < 0:
                break
        return task

    def _end_turn(self, k: Kernel, task: int) -> None:
        """Leave the task at its place: the order of the queue is that of the tickets."""
        k.u64[k.rq_word + RQ_HRTICK] = NEVER
        k.i64[(task + _TIME_SLICE) >> 3] = 0


class stride_sched_class(lottery_sched_class):
    """Stride: who has come least far runs, and comes one stride farther with each turn.

    A stride is inversely proportional to the tickets.  Who gives a turn up early pays for the part
    that was used; who was away goes on from where the others are.
    """

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        place = (task + _PASS) >> 3
        k.u64[place] = max(k.u64[place], k.u64[k.rq_word + _GLOBAL_PASS])
        super().enqueue_task(k, task, flags)

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        if k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK == task:
            self._pay(k, task)
        super().dequeue_task(k, task, flags)

    def pick_task(self, k: Kernel) -> int:
        task = min(_tasks(k), key=lambda task: k.u64[(task + _PASS) >> 3], default=0)
        if task:
            k.u64[k.rq_word + _GLOBAL_PASS] = k.u64[(task + _PASS) >> 3]
        return task

    def _end_turn(self, k: Kernel, task: int) -> None:
        self._pay(k, task)
        super()._end_turn(k, task)

    def _pay(self, k: Kernel, task: int) -> None:
        """Charge for the part of the turn that is over."""
        left = turn_left(k)
        quantum = k.u64[k.rq_word + RQ_QUANTUM]
        used = quantum if left == NEVER else max(0, quantum - left)
        k.u64[(task + _PASS) >> 3] += STRIDE1 // _tickets(k, task) * used // quantum


# Behind the other classes, in the order of options.POLICIES.
OSTEP_CLASSES: Final[tuple[sched_class, ...]] = (
    fifo_sched_class(), sjf_sched_class(), stcf_sched_class(), rr_sched_class(),
    mlfq_sched_class(), lottery_sched_class(), stride_sched_class())


def _head(k: Kernel, level: int) -> int:
    """Return the address of a queue."""
    return (k.rq_word << 3) + _QUEUE + 16 * level + START_KERNEL_MAP


def _first(k: Kernel, level: int) -> int:
    """Return the first task of a queue, or 0."""
    head = (k.rq_word << 3) + _QUEUE + 16 * level
    node: int = k.u64[head >> 3] & PHYSICAL_MASK
    return 0 if node == head else node - GROUP_NODE


def _tasks(k: Kernel) -> Iterator[int]:
    """Yield the tasks of the first queue."""
    for node in list_for_each_va(k.u64, _head(k, 0)):
        yield (node & PHYSICAL_MASK) - GROUP_NODE


def _requeue_tail(k: Kernel, task: int) -> None:
    u64, node = k.u64, task + GROUP_NODE + PAGE_OFFSET
    list_del_va(u64, node)
    list_add_tail_va(u64, node, _head(k, k.u32[(task + _LEVEL) >> 2]))


def _time_to_completion(k: Kernel, task: int) -> int:
    u64 = k.u64
    return max(0, u64[(task + _JOB_END) >> 3] - u64[(task + _SUM_EXEC) >> 3])


def _shortest(k: Kernel) -> int:
    """Return who needs the CPU for the shortest time, of equals the first; 0: nobody is there."""
    return min(_tasks(k), key=lambda task: _time_to_completion(k, task), default=0)


def _tickets(k: Kernel, task: int) -> int:
    own = k.u32[(task + CUSTOM_SLICE) >> 2]
    return k.u64[(task + (SLICE if own else LOAD_WEIGHT)) >> 3]


def _to_level(k: Kernel, task: int, level: int) -> None:
    k.u32[(task + _LEVEL) >> 2] = level
    k.u32[(task + _TASK_BOOSTS) >> 2] = k.u32[2 * k.rq_word + _BOOSTS]
    k.u64[(task + _USED) >> 3] = 0


def _boost_if_due(k: Kernel) -> None:
    """Move all tasks to the topmost queue if it is time; those asleep rise when they come back."""
    u64, u32, q = k.u64, k.u32, k.rq_word
    period, due, now = u64[q + _BOOST_PERIOD], u64[q + _NEXT_BOOST], k.machine.clock
    if not period or now < due:
        return
    u64[q + _NEXT_BOOST] = now + period - (now - due) % period
    u32[2 * q + _BOOSTS] += 1
    for level in range(u32[2 * q + _NR_QUEUES]):
        for node in list_for_each_va(u64, _head(k, level)):
            task = (node & PHYSICAL_MASK) - GROUP_NODE
            _to_level(k, task, 0)
            if level:
                _requeue_tail(k, task)
