"""get_pid_info: what there is to know of a process, in one structure.

One of this project's own calls; its number, and the structure, are the original project's.

See: docs/processes.md, "The project's own calls".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.d_path import d_path
from guest_kernel.fs.namespace import load_path
from guest_kernel.layout.sched import task_struct
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.pid import find_task_by_vpid
from guest_kernel.sched.core import task_state
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# struct pid_info: pid state process_stack age; *children; parent_pid; *root *pwd
PID_INFO: Final = struct.Struct("<qqqqQqQQ")
UNRUNNABLE: Final = -1


def _state(task: task_struct) -> int:
    """Return 0 for a runnable task, the state it waits or is stopped in, or UNRUNNABLE."""
    return UNRUNNABLE if task.exit_state else task_state(task)


def _path(task: task_struct, which: str, current: task_struct) -> bytes:
    """Return the path of the task's root or working directory; nothing for a zombie."""
    if task.fs is None:
        return b"\0"
    return d_path(load_path(getattr(task.fs, which)), current) + b"\0"


# System calls


@SYSCALL_DEFINE
def sys_get_pid_info(current: task_struct, ret: UserPtr, pid: Int) -> int:
    """Store what there is to know of process ``pid`` in the ``struct pid_info`` at ``ret``.

    The caller has set the pointers in it: ``children`` to room for the numbers of the children and
    a zero behind them, ``root`` and ``pwd`` to PATH_MAX bytes each.  ``state`` is 0 if the process
    is runnable, negative if it will never run again, and else the state that it waits or is stopped
    in; ``process_stack`` is where its stack began; ``age`` is in seconds.

    See: docs/processes.md, "The project's own calls".
    """
    k: Kernel = current.k
    task = find_task_by_vpid(k, pid)
    if task is None:
        raise SyscallError(Errno.ESRCH)
    *_, children_va, _, root_va, pwd_va = PID_INFO.unpack(copy_from_user(k, ret, PID_INFO.size))
    children = [child.pid for child in
                list_for_each_entry(task.children, task_struct, "sibling")]
    copy_to_user(k, children_va, struct.pack(f"<{len(children) + 1}q", *children, 0))
    copy_to_user(k, root_va, _path(task, "root", current))
    copy_to_user(k, pwd_va, _path(task, "pwd", current))
    stack = 0 if task.mm is None else task.mm.start_stack
    parent = task.real_parent
    assert parent is not None
    age = (ktime_get(k) - task.start_time) // NSEC_PER_SEC
    copy_to_user(k, ret, PID_INFO.pack(task.pid, _state(task), stack, age, children_va, parent.pid,
                                       root_va, pwd_va))
    return 0
