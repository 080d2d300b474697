"""The lists that every task is on: all processes, the threads of a group.

See: Linux include/linux/sched/signal.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import BUG
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.sched import sched_data, signal_struct, task_struct
from guest_kernel.lib.list import list_for_each_entry, list_next_entry

_TASKS: Final = task_struct.offsetof("tasks")
_SIGNAL: Final = task_struct.offsetof("signal")
_THREAD_NODE: Final = task_struct.offsetof("thread_node")
_THREAD_HEAD: Final = signal_struct.offsetof("thread_head")


def next_task(task: task_struct) -> task_struct:
    """Return the process after ``task``; after the last comes init_task."""
    return list_next_entry(task, "tasks")


def for_each_process(k: Kernel) -> Iterator[task_struct]:
    """Yield the leader of every thread group, the idle task's not, in order of birth."""
    return list_for_each_entry(k.data(sched_data).init_task.tasks, task_struct, "tasks")


def for_each_thread(task: task_struct) -> Iterator[task_struct]:
    """Yield the threads of the group that ``task`` belongs to."""
    if task.signal is None:
        BUG(f"task {task.pid} has no signal_struct")
    return list_for_each_entry(task.signal.thread_head, task_struct, "thread_node")


def for_each_process_thread(k: Kernel) -> Iterator[task_struct]:
    """Yield every task but the idle one."""
    for process in for_each_process(k):
        yield from for_each_thread(process)


def next_thread(task: task_struct) -> task_struct:
    """Return the thread after ``task`` in its group; after the last comes the first."""
    k: Kernel = task.k
    head = (k.u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK) + _THREAD_HEAD
    node = k.u64[(task.pa + _THREAD_NODE) >> 3] & PHYSICAL_MASK
    if node == head:
        node = k.u64[head >> 3] & PHYSICAL_MASK
    return task_struct(k, node - _THREAD_NODE)


def thread_group_empty(task: task_struct) -> bool:
    """Tell whether ``task``, which is on its group's list, is the only thread there."""
    u64, node = task.k.u64, (task.pa + _THREAD_NODE) >> 3
    alone: bool = u64[node] == u64[node + 1]  # both are the list's head
    return alone


def thread_group_leader(task: task_struct) -> bool:
    """Tell whether ``task`` is its group's leader: it has the group's number."""
    return task.exit_signal >= 0
