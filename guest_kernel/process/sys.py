"""What a process can ask about the machine and its scheduling, and addresses that it registers.

The kernel is to look at those addresses when a thread exits: the word to clear, and the list of
robust futexes.

See: Linux kernel/sys.c, kernel/sched/syscalls.c, kernel/fork.c, kernel/futex/syscalls.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import SUID_DUMP_USER
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import ROBUST_LIST_HEAD_SIZE, sched_data, task_struct
from guest_kernel.mm.mm import get_dumpable
from guest_kernel.mm.page_alloc import nr_free_pages
from guest_kernel.mm.uaccess import copy_to_user, put_user_u32, put_user_u64
from guest_kernel.mm.vma import capable
from guest_kernel.process.ids import same_ids
from guest_kernel.process.pid import find_process_by_pid
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong, UserPtr
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_UTS_LEN: Final = 65
UTS_SYSNAME: Final = b"Linux"
UTS_NODENAME: Final = b"ringlet"
UTS_RELEASE: Final = b"6.12.0-ringlet"
UTS_VERSION: Final = b"#1 ringlet Tue Nov 14 22:13:20 UTC 2023"
UTS_MACHINE: Final = b"x86_64"
UTS_DOMAINNAME: Final = b"(none)"

_UTSNAME: Final = b"".join(name.ljust(_UTS_LEN, b"\0") for name in (
    UTS_SYSNAME, UTS_NODENAME, UTS_RELEASE, UTS_VERSION, UTS_MACHINE, UTS_DOMAINNAME))

SYSINFO: Final = struct.Struct("<q9QH6xQQI4x")



def _ptrace_may_access(current: task_struct, task: task_struct) -> bool:
    """Tell whether the caller may look into ``task``.

    See ptrace(2), "Ptrace access mode checking", PTRACE_MODE_READ_REALCREDS.
    """
    if task.signal == current.signal or capable(current.k):
        return True
    return same_ids(current, task) and (task.mm is None or get_dumpable(task.mm) == SUID_DUMP_USER)


# System calls


@SYSCALL_DEFINE
def sys_newuname(current: task_struct, name: UserPtr) -> int:
    """Return the names of the system.  See uname(2)."""
    copy_to_user(current.k, name, _UTSNAME)
    return 0


@SYSCALL_DEFINE
def sys_sysinfo(current: task_struct, info: UserPtr) -> int:
    """Return how much memory and how many tasks there are.  See sysinfo(2).

    Limits: load averages are not kept, shared memory is not counted: both are 0.
    """
    k: Kernel = current.k
    uptime = -(-ktime_get(k) // NSEC_PER_SEC)
    procs = k.data(sched_data).nr_threads & 0xFFFF
    copy_to_user(k, info, SYSINFO.pack(
        uptime, 0, 0, 0, k.data(mm_data).totalram_pages * PAGE_SIZE, nr_free_pages(k) * PAGE_SIZE,
        0, 0, 0, 0, procs, 0, 0, 1))
    return 0


@SYSCALL_DEFINE
def sys_getcpu(current: task_struct, cpup: UserPtr, nodep: UserPtr, unused: UserPtr) -> int:
    """Return on which CPU the caller runs, and on which node: 0, both.  See getcpu(2)."""
    for place in (cpup, nodep):
        if place:
            put_user_u32(current.k, place, 0)
    return 0


@SYSCALL_DEFINE
def sys_set_tid_address(current: task_struct, tidptr: UserPtr) -> int:
    """Name the word that is cleared, and woken, when the thread exits.  See set_tid_address(2)."""
    current.clear_child_tid = tidptr
    return current.pid


@SYSCALL_DEFINE
def sys_set_robust_list(current: task_struct, head: UserPtr, length: ULong) -> int:
    """Name the list of futexes to release when the thread dies.  See set_robust_list(2)."""
    if length != ROBUST_LIST_HEAD_SIZE:
        raise SyscallError(Errno.EINVAL)
    current.robust_list = head
    return 0


@SYSCALL_DEFINE
def sys_get_robust_list(current: task_struct, pid: Int, head_ptr: UserPtr,
                        len_ptr: UserPtr) -> int:
    """Return the list of futexes of a thread.  See get_robust_list(2)."""
    k: Kernel = current.k
    task = find_process_by_pid(current, pid)
    if not _ptrace_may_access(current, task):
        raise SyscallError(Errno.EPERM)
    put_user_u64(k, len_ptr, ROBUST_LIST_HEAD_SIZE)
    put_user_u64(k, head_ptr, task.robust_list)
    return 0
