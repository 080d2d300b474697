"""The scheduler: a queue of runnable tasks, the choice of the next, and waking.

The running task is not on the queue.  ``schedule()`` itself is assembly (asm/switch.asm); it asks
:func:`pick_next_task` here whom to switch to and does the switch.  Tasks take turns in the order in
which they became runnable; while several compete, a tick ends a turn.

See: Linux kernel/sched/core.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import BUG, BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK, container_of
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import (
    DEFAULT_PRIO,
    NICE_0_LOAD,
    PF_KTHREAD,
    STACK_END_MAGIC,
    TASK_DEAD,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NEW,
    TASK_NORMAL,
    TASK_RUNNING,
    TASK_STOPPED,
    TASK_UNINTERRUPTIBLE,
    TIF_NEED_RESCHED,
    pcpu_hot,
    rq,
    sched_data,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty
from guest_kernel.time.hrtimer import TICK_NSEC, reprogram
from guest_kernel.time.timekeeping import ktime_get

# Which states may follow which; __state changes in set_task_state() alone.
_TRANSITIONS: Final = {
    TASK_RUNNING: {TASK_RUNNING, TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_KILLABLE,
                   TASK_STOPPED, TASK_DEAD},
    TASK_INTERRUPTIBLE: {TASK_RUNNING, TASK_INTERRUPTIBLE},
    TASK_UNINTERRUPTIBLE: {TASK_RUNNING, TASK_UNINTERRUPTIBLE},
    TASK_KILLABLE: {TASK_RUNNING},
    TASK_STOPPED: {TASK_RUNNING},
    TASK_NEW: {TASK_RUNNING},
}


def runqueue(k: Kernel) -> rq:
    """Return the run queue of the one CPU."""
    return k.data(sched_data).runqueues


def set_task_state(task: task_struct, state: int) -> None:
    """Change ``task.__state``.

    Raises:
        KernelPanic: the change makes no sense from the present state.
    """
    old = getattr(task, "__state")  # the name would be mangled in a class
    if state not in _TRANSITIONS.get(old, ()):
        BUG(f"task {task.pid}: state {old:#x} cannot become {state:#x}")
    setattr(task, "__state", state)  # likewise


def task_state(task: task_struct) -> int:
    """Return ``task.__state``."""
    state: int = getattr(task, "__state")  # the name would be mangled in a class
    return state


def sched_init(k: Kernel, idle: task_struct) -> None:
    """Set up the run queue, with ``idle`` running."""
    queue = runqueue(k)
    INIT_LIST_HEAD(queue.cfs_queue)
    queue.curr = queue.idle = idle
    idle.prio = idle.static_prio = idle.normal_prio = DEFAULT_PRIO
    idle.se.load_weight = NICE_0_LOAD
    queue.clock = ktime_get(k)


def activate_task(task: task_struct) -> None:
    """Put ``task`` at the end of the queue."""
    k: Kernel = task.k
    BUG_ON(bool(task.on_rq), f"task {task.pid} is on the run queue already")
    queue = runqueue(k)
    task.on_rq = 1
    queue.nr_running += 1
    list_add_tail(task.se.group_node, queue.cfs_queue)
    task.sched_info.last_queued = ktime_get(k)
    if queue.nr_running == 2:
        reprogram(k)  # somebody has to share from now on: start the tick


def try_to_wake_up(task: task_struct, state: int) -> bool:
    """Make ``task`` runnable if it sleeps in one of the states in ``state``.

    Returns:
        True if it was asleep.
    """
    if not task_state(task) & state:
        return False
    set_task_state(task, TASK_RUNNING)
    if not task.on_rq:
        activate_task(task)
    return True


def wake_up_process(task: task_struct) -> bool:
    """Wake ``task`` if it sleeps."""
    return try_to_wake_up(task, TASK_NORMAL)


def sched_fork(task: task_struct) -> None:
    """Set up what the scheduler knows of a new task, a copy of its parent."""
    setattr(task, "__state", TASK_NEW)  # the first state; no transition leads to it
    task.prio = task.static_prio = task.normal_prio = DEFAULT_PRIO
    entity = task.se
    entity.load_weight = NICE_0_LOAD
    entity.sum_exec_runtime = entity.prev_sum_exec_runtime = entity.vruntime = 0


def wake_up_new_task(task: task_struct) -> None:
    """Start a task that was just made."""
    set_task_state(task, TASK_RUNNING)
    activate_task(task)


def resched_curr(k: Kernel) -> None:
    """Ask the running task to give way when it returns to ring 3."""
    curr = runqueue(k).curr
    assert curr is not None
    curr.thread_info.flags |= TIF_NEED_RESCHED


def scheduler_tick(k: Kernel) -> None:
    """End the running task's turn if others wait and it has had one."""
    queue = runqueue(k)
    curr = queue.curr
    assert curr is not None
    if (queue.nr_running > 1 and curr != queue.idle
            and ktime_get(k) - curr.sched_info.last_arrival >= TICK_NSEC):
        resched_curr(k)


def update_curr(k: Kernel) -> None:
    """Charge the running task for the time since the last call."""
    queue = runqueue(k)
    now = ktime_get(k)
    curr = queue.curr
    assert curr is not None
    delta = now - queue.clock
    queue.clock = now
    entity = curr.se
    entity.sum_exec_runtime += delta
    curr.utime += delta


def pick_next_task(k: Kernel) -> None:
    """Answer the assembly's schedule(): fill pcpu_hot.next_task and next_cr3."""
    queue, pcpu = runqueue(k), k.data(pcpu_hot)
    prev = queue.curr
    assert prev is not None
    if k.u32[(prev.stack & PHYSICAL_MASK) >> 2] != STACK_END_MAGIC:
        BUG(f"task {prev.pid} has overrun its kernel stack")
    update_curr(k)
    prev.thread_info.flags &= ~TIF_NEED_RESCHED
    idle = queue.idle
    if prev != idle:
        if task_state(prev) == TASK_RUNNING:
            list_add_tail(prev.se.group_node, queue.cfs_queue)
        else:
            prev.on_rq = 0
            queue.nr_running -= 1
    task = idle
    if not list_empty(queue.cfs_queue):
        first = queue.cfs_queue.next
        assert first is not None
        task = container_of(first, task_struct, "se.group_node")
        list_del_init(first)
    assert task is not None
    if task == prev:
        pcpu.next_task = None
        return
    _context_switch(k, queue, pcpu, prev, task)


def _context_switch(k: Kernel, queue: rq, pcpu: pcpu_hot, prev: task_struct,
                    task: task_struct) -> None:
    queue.nr_switches += 1
    if task_state(prev) == TASK_RUNNING:
        prev.nivcsw += 1
    else:
        prev.nvcsw += 1
    queue.curr = task
    now = ktime_get(k)
    task.sched_info.pcount += 1
    task.sched_info.run_delay += max(0, now - task.sched_info.last_queued)
    task.sched_info.last_arrival = now
    prev.sched_info.last_queued = now
    prev.on_cpu, task.on_cpu = 0, 1
    pcpu.next_task = task
    # A kernel thread runs on the kernel's own table, so that no dead one stays loaded.
    pgd = task.mm.pgd if task.mm is not None else k.data(vm_data).swapper_pg_dir
    pcpu.next_cr3 = pgd & PHYSICAL_MASK
    if task.flags & PF_KTHREAD:
        task.active_mm = k.data(vm_data).init_mm
    if task_state(prev) == TASK_DEAD:
        pcpu.prev_dead = prev
    if task != queue.idle:
        reprogram(k)  # the tick runs while tasks compete, from the beginning of each turn
