"""Who a process is: its numbers, its relations, and the user and group that it runs as.

A process group and a session are named by a process number, ``signal->pids[kind]``.

See: Linux kernel/sys.c; credentials(7).
"""

from __future__ import annotations

from guest_kernel.drivers.tty.ctty import proc_clear_tty
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import PF_FORKNOEXEC, task_struct
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_SID,
    change_pid,
    find_pid,
    find_process_by_pid,
    find_task_by_vpid,
    pid_nr,
    pid_task,
    task_pgrp,
    task_pgrp_nr,
    task_pid,
    task_pid_type,
    task_session,
)
from guest_kernel.process.tasks import thread_group_leader
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr


def _number_of(current: task_struct, nr: int, kind: int) -> int:
    """Return the number that process ``nr``, or for 0 the caller, has as ``kind``.

    Raises:
        SyscallError: ESRCH: there is no such process.
    """
    return pid_nr(task_pid_type(find_process_by_pid(current, nr), kind))


def same_session(a: task_struct, b: task_struct) -> bool:
    """Tell whether two tasks are in one session."""
    return task_session(a) == task_session(b)


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
    return task_pgrp_nr(current)


@SYSCALL_DEFINE
def sys_getpgid(current: task_struct, pid: Int) -> int:
    """Return the process group of a process.  See getpgid(2)."""
    return _number_of(current, pid, PIDTYPE_PGID)


@SYSCALL_DEFINE
def sys_getsid(current: task_struct, pid: Int) -> int:
    """Return the session of a process.  See getsid(2)."""
    return _number_of(current, pid, PIDTYPE_SID)


@SYSCALL_DEFINE
def sys_setpgid(current: task_struct, pid: Int, pgid: Int) -> int:
    """Move a process to a process group.  See setpgid(2)."""
    leader = current.group_leader
    assert leader is not None
    pid = pid or leader.pid
    pgid = pgid or pid
    if pgid < 0:
        raise SyscallError(Errno.EINVAL)
    task = find_task_by_vpid(current.k, pid)
    if task is None:
        raise SyscallError(Errno.ESRCH)
    if not thread_group_leader(task):
        raise SyscallError(Errno.EINVAL)
    parent = task.real_parent
    assert parent is not None
    if parent.signal == current.signal:
        if task_session(task) != task_session(leader):
            raise SyscallError(Errno.EPERM)
        if not task.flags & PF_FORKNOEXEC:
            raise SyscallError(Errno.EACCES)
    elif task != leader:
        raise SyscallError(Errno.ESRCH)
    assert task.signal is not None
    if task.signal.leader:
        raise SyscallError(Errno.EPERM)
    group = task_pid(task)
    if pgid != task.pid:
        group = find_pid(current.k, pgid)
        member = pid_task(group, PIDTYPE_PGID)
        if member is None or task_session(member) != task_session(leader):
            raise SyscallError(Errno.EPERM)
    assert group is not None
    if task_pgrp(task) != group:
        change_pid(task, PIDTYPE_PGID, group)
    return 0


@SYSCALL_DEFINE
def sys_setsid(current: task_struct) -> int:
    """Make a session, and in it a group, of the caller alone.  See setsid(2)."""
    leader = current.group_leader
    assert leader is not None
    assert leader.signal is not None
    session = task_pid(leader)
    assert session is not None
    if leader.signal.leader or pid_task(session, PIDTYPE_PGID) is not None:
        raise SyscallError(Errno.EPERM)
    leader.signal.leader = 1
    proc_clear_tty(leader)
    for kind in (PIDTYPE_SID, PIDTYPE_PGID):
        if task_pid_type(leader, kind) != session:
            change_pid(leader, kind, session)
    return pid_nr(session)


@SYSCALL_DEFINE
def sys_getgroups(current: task_struct, gidsetsize: Int, grouplist: UserPtr) -> int:
    """Return the supplementary groups: there are none.  See getgroups(2)."""
    if gidsetsize < 0:
        raise SyscallError(Errno.EINVAL)
    return 0
