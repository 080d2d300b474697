"""Who a process is: its numbers, its relations, and the user and group that it runs as.

A process group and a session are named by a process number.  A task does not point at it; it is on
that number's list, ``pid.tasks[kind]``, and :func:`pid_nr_of` follows the list to its head.

See: Linux kernel/sys.c, kernel/pid.c __task_pid_nr_ns(); credentials(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import BUG_ON, Errno, SyscallError
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.list import hlist_head, hlist_node
from guest_kernel.layout.sched import pid, task_struct
from guest_kernel.process.pid import PIDTYPE_PGID, PIDTYPE_SID, find_pid, find_process_by_pid
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_TASKS: Final = pid.offsetof("tasks")
_PID_LINKS: Final = task_struct.offsetof("pid_links")
_PPREV: Final = hlist_node.offsetof("pprev")


def pid_nr_of(task: task_struct, kind: int) -> int:
    """Return the number that ``task`` has as ``kind``: PIDTYPE_PGID or PIDTYPE_SID.

    Each node knows the pointer to it: the next field of another task's node, or at last the head in
    a struct pid, which is one if the hash table has it under the number that it states.
    """
    k: Kernel = task.k
    leader = task.group_leader
    assert leader is not None
    pointer = k.u64[(leader.pa + _PID_LINKS + kind * hlist_node.size + _PPREV) >> 3]
    while True:
        BUG_ON(not pointer, f"task {task.pid}: on no list of kind {kind}")
        pa = pointer & PHYSICAL_MASK
        number = pid(k, pa - _TASKS - kind * hlist_head.size)
        if number == find_pid(k, number.nr):
            return number.nr
        pointer = k.u64[(pa + _PPREV) >> 3]


def _number_of(current: task_struct, nr: int, kind: int) -> int:
    """Return the number that process ``nr``, or for 0 the caller, has as ``kind``.

    Raises:
        SyscallError: ESRCH: there is no such process.
    """
    return pid_nr_of(find_process_by_pid(current, nr), kind)


def same_ids(current: task_struct, task: task_struct) -> bool:
    """Tell whether all user and group IDs of ``task`` are the caller's real ones."""
    return (task.uid == task.euid == task.suid == current.uid
            and task.gid == task.egid == task.sgid == current.gid)


# System calls


@SYSCALL_DEFINE
def sys_getpid(current: task_struct) -> int:
    """Return the number of the process.  See getpid(2)."""
    return current.tgid


@SYSCALL_DEFINE
def sys_gettid(current: task_struct) -> int:
    """Return the number of the thread.  See gettid(2)."""
    return current.pid


@SYSCALL_DEFINE
def sys_getppid(current: task_struct) -> int:
    """Return the number of the parent process.  See getppid(2)."""
    parent = current.real_parent
    assert parent is not None
    return parent.tgid


@SYSCALL_DEFINE
def sys_getuid(current: task_struct) -> int:
    """Return the real user ID.  See getuid(2)."""
    return current.uid


@SYSCALL_DEFINE
def sys_geteuid(current: task_struct) -> int:
    """Return the effective user ID.  See geteuid(2)."""
    return current.euid


@SYSCALL_DEFINE
def sys_getgid(current: task_struct) -> int:
    """Return the real group ID.  See getgid(2)."""
    return current.gid


@SYSCALL_DEFINE
def sys_getegid(current: task_struct) -> int:
    """Return the effective group ID.  See getegid(2)."""
    return current.egid


@SYSCALL_DEFINE
def sys_getpgrp(current: task_struct) -> int:
    """Return the process group of the caller.  See getpgrp(2)."""
    return pid_nr_of(current, PIDTYPE_PGID)


@SYSCALL_DEFINE
def sys_getpgid(current: task_struct, pid: Int) -> int:
    """Return the process group of a process.  See getpgid(2)."""
    return _number_of(current, pid, PIDTYPE_PGID)


@SYSCALL_DEFINE
def sys_getsid(current: task_struct, pid: Int) -> int:
    """Return the session of a process.  See getsid(2)."""
    return _number_of(current, pid, PIDTYPE_SID)


@SYSCALL_DEFINE
def sys_getgroups(current: task_struct, gidsetsize: Int, grouplist: UserPtr) -> int:
    """Return the supplementary groups: there are none.  See getgroups(2)."""
    if gidsetsize < 0:
        raise SyscallError(Errno.EINVAL)
    return 0
