"""Process numbers: struct pid, found through a hash table in RAM.

See: Linux kernel/pid.c.  One namespace; the bitmap of numbers is the hash table itself.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.list import hlist_head, hlist_node
from guest_kernel.layout.sched import PID_MAX_DEFAULT, RESERVED_PIDS, pid, sched_data, task_struct
from guest_kernel.lib.list import hlist_add_head, hlist_del, hlist_for_each_entry
from guest_kernel.mm.page_alloc import get_zeroed_page
from guest_kernel.mm.slab import kfree, kzalloc

PIDTYPE_PID: Final = 0
PIDTYPE_TGID: Final = 1
PIDTYPE_PGID: Final = 2
PIDTYPE_SID: Final = 3

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


def put_pid(number: pid) -> None:
    """Drop a reference; the last one frees the number."""
    number.count -= 1
    if not number.count:
        hlist_del(number.pid_chain)
        kfree(number)


def _tasks(number: pid, kind: int) -> hlist_head:
    return hlist_head(number.k, number.pa + pid.offsetof("tasks") + kind * hlist_head.size)


def attach_pid(task: task_struct, kind: int, number: pid) -> None:
    """Make ``number`` the task's as ``kind``; takes a reference."""
    number.count += 1
    hlist_add_head(task.pid_links[kind], _tasks(number, kind))


def detach_pid(task: task_struct, kind: int, number: pid) -> None:
    """Undo :func:`attach_pid`."""
    hlist_del(task.pid_links[kind])
    put_pid(number)


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
