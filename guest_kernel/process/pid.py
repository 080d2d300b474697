"""Process numbers: struct pid, found through a hash table in RAM.

See: Linux kernel/pid.c.  One namespace; the bitmap of numbers is the hash table itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.list import hlist_head, hlist_node
from guest_kernel.layout.sched import (
    PID_MAX_DEFAULT,
    RESERVED_PIDS,
    pid,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import hlist_add_head, hlist_del, hlist_for_each_entry
from guest_kernel.mm.page_alloc import get_zeroed_page
from guest_kernel.mm.slab import kfree, kzalloc

PIDTYPE_PID: Final = 0
PIDTYPE_TGID: Final = 1
PIDTYPE_PGID: Final = 2
PIDTYPE_SID: Final = 3

_THREAD_PID: Final = task_struct.offsetof("thread_pid")
_SIGNAL: Final = task_struct.offsetof("signal")
_PIDS: Final = signal_struct.offsetof("pids")

PIDHASH_SIZE: Final = 512  # chains; one page


def pid_init(k: Kernel) -> None:
    """Make the hash table."""
    data = k.data(sched_data)
    data.pid_hash = get_zeroed_page(k) + PAGE_OFFSET
    data.pid_max = PID_MAX_DEFAULT
    data.last_pid = 0


def _chain(k: Kernel, nr: int) -> hlist_head:
    table = k.data(sched_data).pid_hash & PHYSICAL_MASK
    return hlist_head(k, table + nr % PIDHASH_SIZE * hlist_head.size)


def find_pid(k: Kernel, nr: int) -> pid | None:
    """Return the struct pid of number ``nr``."""
    for found in hlist_for_each_entry(_chain(k, nr), pid, "pid_chain"):
        if found.nr == nr:
            return found
    return None


def alloc_pid(k: Kernel) -> pid:
    """Give out the next free number, above RESERVED_PIDS after the first wrap.

    Raises:
        SyscallError: EAGAIN, all are in use.
    """
    data = k.data(sched_data)
    limit = data.pid_max
    for _ in range(limit):
        nr = data.last_pid + 1
        if nr >= limit:
            nr = RESERVED_PIDS
            data.pid_wrapped = 1
        data.last_pid = nr
        if find_pid(k, nr) is None:
            new = kzalloc(k, pid)
            new.count, new.nr = 1, nr
            hlist_add_head(new.pid_chain, _chain(k, nr))
            return new
    raise SyscallError(Errno.EAGAIN)


def get_pid(number: pid) -> pid:
    """Take a reference."""
    number.count += 1
    return number


def put_pid(number: pid) -> None:
    """Drop a reference; the last one frees the structure."""
    number.count -= 1
    if not number.count:
        kfree(number)


def free_pid(number: pid) -> None:
    """Nobody has the number any more: it can be given out again."""
    hlist_del(number.pid_chain)
    put_pid(number)


def pid_nr(number: pid) -> int:
    """Return the number."""
    nr: int = number.nr
    return nr


def _place(task: task_struct, kind: int) -> int:
    """Return the index in ``u64`` of the pointer to the task's number as ``kind``.

    A thread has a PIDTYPE_PID of its own; the other kinds are the group's.
    """
    if kind == PIDTYPE_PID:
        return (task.pa + _THREAD_PID) >> 3
    u64 = task.k.u64
    signal: int = u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK
    return (signal + _PIDS >> 3) + kind


def task_pid_type(task: task_struct, kind: int) -> pid | None:
    """Return the number that ``task`` has as ``kind``."""
    k: Kernel = task.k
    va = k.u64[_place(task, kind)]
    return pid(k, va & PHYSICAL_MASK) if va else None


def task_pid(task: task_struct) -> pid | None:
    """Return the thread's number."""
    return task_pid_type(task, PIDTYPE_PID)


def task_pgrp(task: task_struct) -> pid | None:
    """Return the process group."""
    return task_pid_type(task, PIDTYPE_PGID)


def task_session(task: task_struct) -> pid | None:
    """Return the session."""
    return task_pid_type(task, PIDTYPE_SID)


def _tasks(number: pid, kind: int) -> hlist_head:
    return hlist_head(number.k, number.pa + pid.offsetof("tasks") + kind * hlist_head.size)


def init_task_pid(task: task_struct, kind: int, number: pid) -> None:
    """Note ``number`` as the task's; it is put on the number's list by :func:`attach_pid`."""
    task.k.u64[_place(task, kind)] = number.va


def attach_pid(task: task_struct, kind: int) -> None:
    """Put ``task`` on the list of its number of ``kind``."""
    number = task_pid_type(task, kind)
    assert number is not None
    hlist_add_head(task.pid_links[kind], _tasks(number, kind))


def _change_pid(task: task_struct, kind: int, new: int) -> None:
    k: Kernel = task.k
    place = _place(task, kind)
    old = pid(k, k.u64[place] & PHYSICAL_MASK)
    hlist_del(task.pid_links[kind])
    k.u64[place] = new
    if not any(old.tasks):
        free_pid(old)


def detach_pid(task: task_struct, kind: int) -> None:
    """Take ``task`` off its number's list; with its last task the number is free."""
    _change_pid(task, kind, 0)


def change_pid(task: task_struct, kind: int, number: pid) -> None:
    """Give ``task`` another number of ``kind``: setpgid(2), setsid(2)."""
    _change_pid(task, kind, number.va)
    attach_pid(task, kind)


def exchange_tids(left: task_struct, right: task_struct) -> None:
    """Swap the thread numbers of two tasks: a thread that is not the leader executes a program."""
    for task in (left, right):
        hlist_del(task.pid_links[PIDTYPE_PID])
    u64 = left.k.u64
    one, other = _place(left, PIDTYPE_PID), _place(right, PIDTYPE_PID)
    u64[one], u64[other] = u64[other], u64[one]
    left.pid, right.pid = right.pid, left.pid
    for task in (left, right):
        attach_pid(task, PIDTYPE_PID)


def transfer_pid(old: task_struct, new: task_struct, kind: int) -> None:
    """Put ``new`` where ``old``, of the same group, is on the list of their number."""
    hlist_del(old.pid_links[kind])
    attach_pid(new, kind)


def do_each_pid_task(number: pid | None, kind: int) -> Iterator[task_struct]:
    """Yield the tasks that have ``number`` as ``kind``; the one yielded last may go."""
    if number is None:
        return
    k: Kernel = number.k
    node = k.u64[_tasks(number, kind).pa >> 3] & PHYSICAL_MASK
    place = task_struct.offsetof("pid_links") + kind * hlist_node.size
    while node:
        following = k.u64[node >> 3] & PHYSICAL_MASK
        yield task_struct(k, node - place)
        node = following


def pid_task(number: pid | None, kind: int) -> task_struct | None:
    """Return the first task that has ``number`` as ``kind``."""
    if number is None:
        return None
    first = _tasks(number, kind).first
    if first is None:
        return None
    place = task_struct.offsetof("pid_links") + kind * hlist_node.size
    return task_struct(number.k, first.pa - place)


def find_task_by_vpid(k: Kernel, nr: int) -> task_struct | None:
    """Return the task whose number is ``nr``."""
    return pid_task(find_pid(k, nr), PIDTYPE_PID)


def find_process_by_pid(current: task_struct, nr: int) -> task_struct:
    """Return the task whose number is ``nr``, or for 0 the caller.

    Raises:
        SyscallError: ESRCH: there is none.
    """
    task = find_task_by_vpid(current.k, nr) if nr else current
    if task is None:
        raise SyscallError(Errno.ESRCH)
    return task
