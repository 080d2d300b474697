"""Resource limits, and what a process has used of processor and memory.

See: Linux kernel/sys.c do_prlimit(), getrusage(), do_sys_times().
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import SYSCTL_NR_OPEN
from guest_kernel.layout.sched import (
    RLIM_INFINITY,
    RLIM_NLIMITS,
    RLIMIT_CPU,
    RLIMIT_NOFILE,
    rlimit,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.memory import get_mm_rss
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.mm.vma import capable
from guest_kernel.process.ids import same_ids
from guest_kernel.process.pid import find_process_by_pid
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr
from guest_kernel.time.clocks import task_cputime, thread_group_cputime
from guest_kernel.time.cputimers import update_rlimit_cpu
from guest_kernel.time.timekeeping import NSEC_PER_SEC, NSEC_PER_USEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

RLIMIT: Final = struct.Struct("<QQ")  # rlim_cur rlim_max
RUSAGE: Final = struct.Struct("<18q")
RUSAGE_SELF: Final = 0
RUSAGE_CHILDREN: Final = -1
RUSAGE_BOTH: Final = -2  # for wait4(2): the process and its children
RUSAGE_THREAD: Final = 1
TMS: Final = struct.Struct("<4q")  # utime stime cutime cstime
NSEC_PER_CLOCK_T: Final = NSEC_PER_SEC // 100  # USER_HZ

_SIGNAL: Final = task_struct.offsetof("signal")
_RLIM: Final = signal_struct.offsetof("rlim")


def do_prlimit(task: task_struct, resource: int, new: tuple[int, int] | None) -> tuple[int, int]:
    """Return a resource limit of ``task``, soft and hard, having replaced it by ``new`` if given.

    Raises:
        SyscallError: EINVAL: there is no such resource, or the soft limit is above the hard one.
            EPERM: the hard limit would rise, or RLIMIT_NOFILE exceed what the kernel can do.
    """
    if resource >= RLIM_NLIMITS:
        raise SyscallError(Errno.EINVAL)
    k: Kernel = task.k
    signal = k.u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK
    place = (signal + _RLIM + resource * rlimit.size) >> 3
    old = k.u64[place], k.u64[place + 1]
    if new is not None:
        soft, hard = new
        if soft > hard:
            raise SyscallError(Errno.EINVAL)
        if resource == RLIMIT_NOFILE and hard > SYSCTL_NR_OPEN:
            raise SyscallError(Errno.EPERM)
        if hard > old[1] and not capable(k):
            raise SyscallError(Errno.EPERM)
        k.u64[place], k.u64[place + 1] = soft, hard
        if resource == RLIMIT_CPU and soft != RLIM_INFINITY:
            update_rlimit_cpu(task)
    return old


def _timeval(ns: int) -> tuple[int, int]:
    return ns // NSEC_PER_SEC, ns % NSEC_PER_SEC // NSEC_PER_USEC


def getrusage(task: task_struct, who: int) -> bytes:
    """Return what has been used, as a ``struct rusage``.

    Args:
        who: RUSAGE_*.
    """
    signal = task.signal
    assert signal is not None
    children = (signal.cutime, signal.cstime, signal.cmin_flt, signal.cmaj_flt, signal.cnvcsw,
                signal.cnivcsw)
    if who == RUSAGE_CHILDREN:
        return _pack_rusage(signal.cmaxrss, *children)
    mm = task.mm
    maxrss = signal.maxrss if mm is None else max(
        signal.maxrss, mm.hiwater_rss, get_mm_rss(mm))
    if who == RUSAGE_THREAD:
        utime, stime, _ = task_cputime(task)
        return _pack_rusage(maxrss, utime, stime, task.min_flt, task.maj_flt, task.nvcsw,
                            task.nivcsw)
    utime, stime, _ = thread_group_cputime(task)
    threads = list(list_for_each_entry(signal.thread_head, task_struct, "thread_node"))
    own = (utime, stime, signal.min_flt + sum(thread.min_flt for thread in threads),
           signal.maj_flt + sum(thread.maj_flt for thread in threads),
           signal.nvcsw + sum(thread.nvcsw for thread in threads),
           signal.nivcsw + sum(thread.nivcsw for thread in threads))
    if who == RUSAGE_BOTH:
        return _pack_rusage(max(maxrss, signal.cmaxrss),
                            *(a + b for a, b in zip(own, children, strict=True)))
    return _pack_rusage(maxrss, *own)


def _pack_rusage(maxrss: int, utime: int, stime: int, min_flt: int, maj_flt: int, nvcsw: int,
                 nivcsw: int) -> bytes:
    return RUSAGE.pack(*_timeval(utime), *_timeval(stime), maxrss * (PAGE_SIZE // 1024), 0, 0, 0,
                       min_flt, maj_flt, 0, 0, 0, 0, 0, 0, nvcsw, nivcsw)


# System calls


@SYSCALL_DEFINE
def sys_getrlimit(current: task_struct, resource: UInt, rlim: UserPtr) -> int:
    """Return a resource limit.  See getrlimit(2)."""
    copy_to_user(current.k, rlim, RLIMIT.pack(*do_prlimit(current, resource, None)))
    return 0


@SYSCALL_DEFINE
def sys_setrlimit(current: task_struct, resource: UInt, rlim: UserPtr) -> int:
    """Set a resource limit.  See setrlimit(2).

    Limits: RLIMIT_RSS, RLIMIT_LOCKS, RLIMIT_MSGQUEUE and RLIMIT_RTTIME are kept, but limit nothing.
    """
    soft, hard = RLIMIT.unpack(copy_from_user(current.k, rlim, RLIMIT.size))
    do_prlimit(current, resource, (soft, hard))
    return 0


@SYSCALL_DEFINE
def sys_prlimit64(current: task_struct, pid: Int, resource: UInt, new_rlim: UserPtr,
                  old_rlim: UserPtr) -> int:
    """Get and set a resource limit of any process.  See prlimit(2).

    Limits: as setrlimit.
    """
    k: Kernel = current.k
    new: tuple[int, int] | None = None
    if new_rlim:
        soft, hard = RLIMIT.unpack(copy_from_user(k, new_rlim, RLIMIT.size))
        new = soft, hard
    task = find_process_by_pid(current, pid)
    if task != current and not same_ids(current, task) and not capable(k):
        raise SyscallError(Errno.EPERM)
    old = do_prlimit(task, resource, new)
    if old_rlim:
        copy_to_user(k, old_rlim, RLIMIT.pack(*old))
    return 0


@SYSCALL_DEFINE
def sys_getrusage(current: task_struct, who: Int, ru: UserPtr) -> int:
    """Return what the caller or its children have used.  See getrusage(2).

    Limits: blocks of input and output are not counted.
    """
    if who not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        raise SyscallError(Errno.EINVAL)
    copy_to_user(current.k, ru, getrusage(current, who))
    return 0


@SYSCALL_DEFINE
def sys_times(current: task_struct, tbuf: UserPtr) -> int:
    """Return the caller's CPU time, and the ticks since boot, 100 a second.  See times(2)."""
    k: Kernel = current.k
    if tbuf:
        utime, stime, _ = thread_group_cputime(current)
        signal = current.signal
        assert signal is not None
        copy_to_user(k, tbuf, TMS.pack(*(
            ns // NSEC_PER_CLOCK_T for ns in (utime, stime, signal.cutime, signal.cstime))))
    return ktime_get(k) // NSEC_PER_CLOCK_T
