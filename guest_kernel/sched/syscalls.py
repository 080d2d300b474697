"""The system calls about scheduling.

See: Linux kernel/sched/syscalls.c, kernel/sys.c setpriority(); sched(7).
"""

from __future__ import annotations

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.uaccess import put_user_u64
from guest_kernel.process.pid import find_process_by_pid
from guest_kernel.sched.core import yield_task
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr

# System calls


@SYSCALL_DEFINE
def sys_sched_yield(current: task_struct) -> int:
    """Let the other runnable tasks run first.  See sched_yield(2)."""
    yield_task(current.k)
    return 0


@SYSCALL_DEFINE
def sys_sched_getaffinity(current: task_struct, pid: Int, length: UInt, mask: UserPtr) -> int:
    """Return the CPUs that a task may run on: the one that there is.  See sched_getaffinity(2)."""
    if not length & 0x1FFF_FFFF or length % 8:
        raise SyscallError(Errno.EINVAL)
    put_user_u64(current.k, mask, find_process_by_pid(current, pid).cpus_mask)
    return 8
