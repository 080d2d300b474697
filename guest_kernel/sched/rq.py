"""The run queue, and what a scheduling class is.

Each task belongs to one class, a number in ``task_struct.sched_class``; the classes are asked in
order of priority for the next task.  What a class does is code, :class:`sched_class`; what it knows
lies in the run queue and in the tasks.

Switching is a hot path: the classes' functions take a task by its physical address and reach fields
by the offsets below.  A *word* is an index of ``k.u64``; ``k.rq_word`` is the run queue's first.

A *turn* is the time that a task may run while others wait.  Its end is ``rq.hrtick``, a time of the
clock.  It begins when the task is back in ring 3, not when it is picked: see :func:`start_turn`.

See: Linux kernel/sched/sched.h, kernel/sched/core.c hrtick_start().
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.sched import TIF_NEED_RESCHED, rq, sched_data, task_struct
from guest_kernel.time.hrtimer import EXPIRES_NEXT, NEVER, tick_program_event

# enqueue_task's and dequeue_task's flags.
ENQUEUE_WAKEUP: Final = 0x01
ENQUEUE_RESTORE: Final = 0x02  # it was taken off by DEQUEUE_SAVE, and its class has not changed
ENQUEUE_HEAD: Final = 0x10
ENQUEUE_INITIAL: Final = 0x80  # a new task
DEQUEUE_SLEEP: Final = 0x01
DEQUEUE_SAVE: Final = 0x02  # to be put back at once, with other attributes

# Words of the run queue, behind k.rq_word.
RQ_CURR: Final = rq.offsetof("curr") >> 3
RQ_IDLE: Final = rq.offsetof("idle") >> 3
RQ_CLOCK: Final = rq.offsetof("clock") >> 3
RQ_HRTICK: Final = rq.offsetof("hrtick") >> 3
RQ_QUANTUM: Final = rq.offsetof("quantum") >> 3
RQ_TURN_COST: Final = rq.offsetof("turn_cost") >> 3
RQ_NR_SWITCHES: Final = rq.offsetof("nr_switches") >> 3
# Halves of words: indices of u32, behind 2 * k.rq_word.
RQ_NR_RUNNING: Final = rq.offsetof("nr_running") >> 2
RQ_NORMAL_CLASS: Final = rq.offsetof("normal_class") >> 2

# Fields of a task, in bytes.
TASK_CLASS: Final = task_struct.offsetof("sched_class")
TASK_POLICY: Final = task_struct.offsetof("policy")
TASK_PRIO: Final = task_struct.offsetof("prio")
TASK_TI_FLAGS: Final = task_struct.offsetof("thread_info.flags")
LOAD_WEIGHT: Final = task_struct.offsetof("se.load_weight")
ON_RQ: Final = task_struct.offsetof("se.on_rq")
SLICE: Final = task_struct.offsetof("se.slice")
CUSTOM_SLICE: Final = task_struct.offsetof("se.custom_slice")
GROUP_NODE: Final = task_struct.offsetof("se.group_node")


class sched_class:
    """How tasks of one kind are scheduled.  Nothing here does anything: see the subclasses.

    ``task`` is always the physical address of a task of this class.  Before each function that
    looks at how long the running task has run, it has been charged: see update_curr() in core.py.
    """

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        """``task`` is runnable; it may be the running one, whose attributes have changed."""
        raise NotImplementedError

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        """``task`` is not runnable any more; it may be the running one."""
        raise NotImplementedError

    def pick_task(self, k: Kernel) -> int:
        """Return the task that should run: the running one or a waiting one; 0: there is none."""
        raise NotImplementedError

    def put_prev_task(self, k: Kernel, task: int) -> None:
        """``task`` stops running and stays runnable."""

    def set_next_task(self, k: Kernel, task: int) -> None:
        """``task``, which was picked, begins to run."""

    def put_prev_set_next_task(self, k: Kernel, prev: int, task: int) -> None:
        """``prev`` stops running and stays runnable; ``task`` of the same class begins."""
        self.put_prev_task(k, prev)
        self.set_next_task(k, task)

    def yield_task(self, k: Kernel, task: int) -> None:
        """The running task lets the others run first."""

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        """``task`` has become runnable while another one of the class runs: may it run at once?"""

    def update_curr(self, k: Kernel, task: int, delta: int) -> None:
        """The running task has run for ``delta`` ns more."""

    def turn(self, k: Kernel, task: int) -> int:
        """Return for how many ns the running task may run while others wait; 0: as it likes."""
        return 0

    def task_tick(self, k: Kernel, task: int) -> None:
        """The running task's turn is over."""

    def task_fork(self, k: Kernel, task: int) -> None:
        """``task`` is a copy of its parent, and will be woken for the first time."""

    def task_dead(self, k: Kernel, task: int) -> None:
        """``task`` has run for the last time."""

    def set_runtime(self, k: Kernel, task: int, runtime: int) -> None:
        """Set what ``task``, which is on no queue, asks for at a time: sched_attr.sched_runtime."""

    def reweight_task(self, k: Kernel, task: int, weight: int) -> None:
        """Give ``task`` the weight of another nice value."""
        k.u64[(task + LOAD_WEIGHT) >> 3] = weight

    def get_rr_interval(self, k: Kernel, task: int) -> int:
        """Return the length of a whole turn in ns; 0: there are none."""
        return 0


def runqueue(k: Kernel) -> rq:
    """Return the run queue of the one CPU."""
    return k.data(sched_data).runqueues


def task_va(k: Kernel, task: int) -> int:
    """Return the kernel virtual address of the task at a physical address."""
    idle: int = k.u64[k.rq_word + RQ_IDLE]
    return idle if idle & PHYSICAL_MASK == task else task + PAGE_OFFSET


def resched_curr(k: Kernel) -> None:
    """Ask the running task to give way: at the latest when it returns to ring 3."""
    curr: int = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
    k.u64[(curr + TASK_TI_FLAGS) >> 3] |= TIF_NEED_RESCHED


def need_resched(k: Kernel) -> bool:
    """Tell whether the running task was asked to give way."""
    curr: int = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
    return bool(k.u64[(curr + TASK_TI_FLAGS) >> 3] & TIF_NEED_RESCHED)


def start_turn(k: Kernel, length: int) -> None:
    """Let the running task's turn end after ``length`` ns of its own code; 0: let it not end.

    Preconditions:
        ``rq.clock`` is right: update_curr() was called.

    What the kernel needs to get from here to ring 3, at most ``rq.turn_cost``, is not counted: else
    a short quantum would be over before the task had done anything, and so for ever.
    """
    u64, q = k.u64, k.rq_word
    if not length:
        u64[q + RQ_HRTICK] = NEVER
        return
    u64[q + RQ_HRTICK] = end = u64[q + RQ_CLOCK] + u64[q + RQ_TURN_COST] + length
    expires = u64[q + EXPIRES_NEXT]
    # An event that is set for earlier is left: it finds nothing to do, and this is set then.
    if end < expires:
        tick_program_event(k, end)


def turn_left(k: Kernel) -> int:
    """Return how many ns of the running task's turn are left; NEVER if it does not end."""
    end: int = k.u64[k.rq_word + RQ_HRTICK]
    return end if end == NEVER else max(0, end - k.machine.clock)
