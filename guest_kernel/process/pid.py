"""Process numbers: ``struct pid``, and who has it as what.

A number is found through the idr of ``init_pid_ns``, the only namespace, and given out in turn: the
next free one above the last, from RESERVED_PIDS on again when pid_max is reached.  A ``struct pid``
is found through its number as long as a task has it as its own, or as its process's, group's or
session's; the structure lives until the last reference to it is dropped.

See: Linux kernel/pid.c; credentials(7); proc_sys_kernel(5), pid_max.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.list import hlist_head, hlist_node
from guest_kernel.layout.sched import (
    PID_MAX_DEFAULT,
    PID_MAX_LIMIT,
    PIDNS_ADDING,
    PIDTYPE_MAX,
    RESERVED_PIDS,
    pid,
    pid_namespace,
    sched_data,
    signal_struct,
    task_struct,
    upid,
)
from guest_kernel.layout.sched import PIDTYPE_PGID as PIDTYPE_PGID
from guest_kernel.layout.sched import PIDTYPE_PID as PIDTYPE_PID
from guest_kernel.layout.sched import PIDTYPE_SID as PIDTYPE_SID
from guest_kernel.layout.sched import PIDTYPE_TGID as PIDTYPE_TGID
from guest_kernel.layout.xarray import idr
from guest_kernel.lib.idr import (
    idr_alloc_cyclic,
    idr_find_pa,
    idr_get_cursor,
    idr_init,
    idr_remove,
)
from guest_kernel.lib.list import hlist_add_head_va, hlist_del, hlist_del_va
from guest_kernel.mm.slab import kfree, kzalloc

# What pid_max can be.  At least one number is left above the reserved ones.
pid_max_min: Final = RESERVED_PIDS + 1
pid_max_max: Final = PID_MAX_LIMIT

_THREAD_PID: Final = task_struct.offsetof("thread_pid")
_PID_LINKS: Final = task_struct.offsetof("pid_links")
_SIGNAL: Final = task_struct.offsetof("signal")
_PIDS: Final = signal_struct.offsetof("pids")
_LINK_SIZE: Final = hlist_node.size
_HEAD_SIZE: Final = hlist_head.size
# Of the kinds but PIDTYPE_PID: the link of it, behind _PID_LINKS, and the list, behind a number.
_TGID_LINK, _PGID_LINK, _SID_LINK = (
    kind * _LINK_SIZE for kind in (PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID))
_TGID_TASKS, _PGID_TASKS, _SID_TASKS = (
    pid.offsetof("tasks") + kind * _HEAD_SIZE for kind in (PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID))
_COUNT: Final = pid.offsetof("count") >> 2
_TASKS: Final = pid.offsetof("tasks")
_NR: Final = pid.offsetof("numbers") + upid.offsetof("nr") >> 2
_NS: Final = pid.offsetof("numbers") + upid.offsetof("ns") >> 3
_PID_MAX: Final = sched_data.offsetof("pid_max")
_INIT_PID_NS: Final = sched_data.offsetof("init_pid_ns")
_IDR: Final = pid_namespace.offsetof("idr")
_PID_ALLOCATED: Final = pid_namespace.offsetof("pid_allocated")


def pid_init(k: Kernel, pid_max: int = PID_MAX_DEFAULT) -> None:
    """Set up the only namespace of numbers.

    Args:
        pid_max: from ``pid_max_min`` to ``pid_max_max``.
    """
    data = k.data(sched_data)
    data.pid_max = pid_max
    data.init_pid_ns.pid_allocated = PIDNS_ADDING
    idr_init(data.init_pid_ns.idr)


def find_pid(k: Kernel, nr: int) -> pid | None:
    """Return the struct pid of number ``nr``."""
    va = idr_find_pa(k, k.sched + (_INIT_PID_NS + _IDR), nr)
    return pid(k, va & PHYSICAL_MASK) if va else None


def alloc_pid(k: Kernel) -> pid:
    """Give out the next free number.

    Raises:
        SyscallError: EAGAIN, all are in use.
        OutOfFrames: nothing has changed.
    """
    data, u32 = k.sched, k.u32
    new = kzalloc(k, pid)
    pa = new.pa
    numbers = idr(k, data + (_INIT_PID_NS + _IDR))
    # Init needs 1; after that, numbers of the early ones are not given out again.
    first = RESERVED_PIDS if idr_get_cursor(numbers) > RESERVED_PIDS else 1
    try:
        nr = idr_alloc_cyclic(numbers, pa + PAGE_OFFSET, first, u32[(data + _PID_MAX) >> 2])
    except SyscallError:
        kfree(new)
        raise SyscallError(Errno.EAGAIN) from None
    except BaseException:
        kfree(new)
        raise
    u32[(pa >> 2) + _COUNT] = 1
    u32[(pa >> 2) + _NR] = nr
    k.u64[(pa >> 3) + _NS] = START_KERNEL_MAP + data + _INIT_PID_NS
    u32[(data + (_INIT_PID_NS + _PID_ALLOCATED)) >> 2] += 1
    return new


def get_pid(number: pid) -> pid:
    """Take a reference."""
    number.k.u32[(number.pa >> 2) + _COUNT] += 1
    return number


def put_pid(number: pid) -> None:
    """Drop a reference; the last one frees the structure."""
    place = (number.pa >> 2) + _COUNT
    number.k.u32[place] = left = number.k.u32[place] - 1
    if not left:
        kfree(number)


def free_pid(number: pid) -> None:
    """Nobody has the number any more: it can be given out again."""
    k: Kernel = number.k
    u32, namespace = k.u32, k.sched + _INIT_PID_NS
    u32[(namespace + _PID_ALLOCATED) >> 2] -= 1
    idr_remove(idr(k, namespace + _IDR), u32[(number.pa >> 2) + _NR])
    put_pid(number)


def pid_nr(number: pid | None) -> int:
    """Return the number; 0 if there is none."""
    if number is None:
        return 0
    nr: int = number.k.i32[(number.pa >> 2) + _NR]
    return nr


def _place(task: task_struct, kind: int) -> int:
    """Return the index in ``u64`` of the pointer to the task's number as ``kind``.

    A thread has a PIDTYPE_PID of its own; the other kinds are the group's.
    """
    if not kind:
        return (task.pa + _THREAD_PID) >> 3
    signal: int = task.k.u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK
    return (signal + _PIDS >> 3) + kind


def task_pid_type(task: task_struct, kind: int) -> pid | None:
    """Return the number that ``task`` has as ``kind``."""
    if not kind:
        return task_pid(task)
    k: Kernel = task.k
    signal = k.u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK
    va = k.u64[(signal + _PIDS >> 3) + kind]
    return pid(k, va & PHYSICAL_MASK) if va else None


def task_pid(task: task_struct) -> pid | None:
    """Return the thread's number."""
    k: Kernel = task.k
    va = k.u64[(task.pa + _THREAD_PID) >> 3]
    return pid(k, va & PHYSICAL_MASK) if va else None


def task_pgrp(task: task_struct) -> pid | None:
    """Return the process group."""
    return task_pid_type(task, PIDTYPE_PGID)


def task_session(task: task_struct) -> pid | None:
    """Return the session."""
    return task_pid_type(task, PIDTYPE_SID)


def task_tgid(task: task_struct) -> pid | None:
    """Return the process's number."""
    return task_pid_type(task, PIDTYPE_TGID)


def task_pid_nr(task: task_struct) -> int:
    """Return the thread's number, as gettid(2) does."""
    return task.pid


def task_tgid_nr(task: task_struct) -> int:
    """Return the process's number, as getpid(2) does."""
    return task.tgid


def task_pgrp_nr(task: task_struct) -> int:
    """Return the number of the process group, as getpgrp(2) does."""
    return pid_nr(task_pgrp(task))


def task_session_nr(task: task_struct) -> int:
    """Return the number of the session, as getsid(2) does."""
    return pid_nr(task_session(task))


def _tasks(number: pid, kind: int) -> hlist_head:
    return hlist_head(number.k, number.pa + _TASKS + kind * hlist_head.size)


def _link(task: task_struct, kind: int) -> hlist_node:
    return hlist_node(task.k, task.pa + _PID_LINKS + kind * hlist_node.size)


def init_task_pid(task: task_struct, kind: int, number: pid) -> None:
    """Note ``number`` as the task's; it is put on the number's list by :func:`attach_pid`."""
    task.k.u64[_place(task, kind)] = number.va


def attach_pid(task: task_struct, kind: int) -> None:
    """Put ``task`` on the list of its number of ``kind``."""
    u64 = task.k.u64
    hlist_add_head_va(u64, task.va + (_PID_LINKS + kind * _LINK_SIZE),
                      u64[_place(task, kind)] + (_TASKS + kind * _HEAD_SIZE))


def attach_process(task: task_struct, parent: task_struct, number: pid) -> None:
    """Give a new process its own number, and its parent's group and session, or its own for none.

    Preconditions:
        ``task`` is the only thread of its group.
    """
    u64, va, links = task.k.u64, number.pa + PAGE_OFFSET, task.pa + (PAGE_OFFSET + _PID_LINKS)
    own = (u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK) + _PIDS >> 3
    inherited = (u64[(parent.pa + _SIGNAL) >> 3] & PHYSICAL_MASK) + _PIDS >> 3
    u64[(task.pa + _THREAD_PID) >> 3] = u64[own + PIDTYPE_TGID] = va
    u64[own + PIDTYPE_PGID] = group = u64[inherited + PIDTYPE_PGID] or va
    u64[own + PIDTYPE_SID] = session = u64[inherited + PIDTYPE_SID] or va
    hlist_add_head_va(u64, links + _TGID_LINK, va + _TGID_TASKS)
    hlist_add_head_va(u64, links + _PGID_LINK, group + _PGID_TASKS)
    hlist_add_head_va(u64, links + _SID_LINK, session + _SID_TASKS)
    hlist_add_head_va(u64, links, va + _TASKS)


def detach_process(task: task_struct) -> None:
    """Take the last thread of a process, its leader, off the lists of all its numbers.

    Those that nobody has any more are free then.
    """
    k: Kernel = task.k
    u64, thread = k.u64, (task.pa + _THREAD_PID) >> 3
    group = (u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK) + _PIDS >> 3
    links = task.pa + (PAGE_OFFSET + _PID_LINKS)
    hlist_del_va(u64, links)
    hlist_del_va(u64, links + _TGID_LINK)
    hlist_del_va(u64, links + _PGID_LINK)
    hlist_del_va(u64, links + _SID_LINK)
    number, pgrp, session = u64[thread], u64[group + PIDTYPE_PGID], u64[group + PIDTYPE_SID]
    u64[thread] = 0
    u64[group + PIDTYPE_TGID] = u64[group + PIDTYPE_PGID] = u64[group + PIDTYPE_SID] = 0
    _free_if_unused(k, number)
    if pgrp != number:
        _free_if_unused(k, pgrp)
    if session not in (number, pgrp):
        _free_if_unused(k, session)


def _free_if_unused(k: Kernel, number: int) -> None:
    """Free the number whose structure is at ``number``, if no task has it."""
    number &= PHYSICAL_MASK
    first = number + _TASKS >> 3
    if not any(k.u64[first : first + PIDTYPE_MAX]):
        free_pid(pid(k, number))


def _change_pid(task: task_struct, kind: int, new: int) -> None:
    k: Kernel = task.k
    u64, place = k.u64, _place(task, kind)
    old = u64[place]
    hlist_del_va(u64, task.va + (_PID_LINKS + kind * _LINK_SIZE))
    u64[place] = new
    _free_if_unused(k, old)


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
        hlist_del(_link(task, PIDTYPE_PID))
    u64 = left.k.u64
    one, other = _place(left, PIDTYPE_PID), _place(right, PIDTYPE_PID)
    u64[one], u64[other] = u64[other], u64[one]
    left.pid, right.pid = right.pid, left.pid
    for task in (left, right):
        attach_pid(task, PIDTYPE_PID)


def transfer_pid(old: task_struct, new: task_struct, kind: int) -> None:
    """Put ``new`` where ``old``, of the same group, is on the list of their number."""
    hlist_del(_link(old, kind))
    attach_pid(new, kind)


def do_each_pid_task(number: pid | None, kind: int) -> Iterator[task_struct]:
    """Yield the tasks that have ``number`` as ``kind``; the one yielded last may go."""
    if number is None:
        return
    k: Kernel = number.k
    node = k.u64[_tasks(number, kind).pa >> 3] & PHYSICAL_MASK
    place = _PID_LINKS + kind * hlist_node.size
    while node:
        following = k.u64[node >> 3] & PHYSICAL_MASK
        yield task_struct(k, node - place)
        node = following


def pid_task(number: pid | None, kind: int) -> task_struct | None:
    """Return the first task that has ``number`` as ``kind``."""
    if number is None:
        return None
    k: Kernel = number.k
    node = k.u64[(number.pa + _TASKS + kind * hlist_head.size) >> 3] & PHYSICAL_MASK
    return task_struct(k, node - (_PID_LINKS + kind * hlist_node.size)) if node else None


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
