"""What a process can ask about itself and the machine, and the attributes that it can set.

The tail of the file registers addresses of user memory that the kernel is to look at later: the
word to clear at exit, the list of robust futexes, and the area of restartable sequences.

See: Linux kernel/sys.c, kernel/rseq.c, kernel/sched/membarrier.c, kernel/sched/syscalls.c,
kernel/futex/syscalls.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import SYSCTL_NR_OPEN
from guest_kernel.layout.mm_types import TASK_SIZE, TASK_SIZE_MAX, mm_struct
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import (
    RLIM_NLIMITS,
    RLIMIT_NOFILE,
    TASK_COMM_LEN,
    rlimit,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.memory import get_mm_rss
from guest_kernel.mm.mmap import current_mm
from guest_kernel.mm.page_alloc import nr_free_pages
from guest_kernel.mm.uaccess import (
    UserAccessError,
    copy_from_user,
    copy_to_user,
    get_user_u32,
    get_user_u64,
    put_user_u32,
    put_user_u64,
    strncpy_from_user,
)
from guest_kernel.mm.vma import capable
from guest_kernel.process.pid import find_task_by_vpid
from guest_kernel.sched.core import resched_curr, runqueue
from guest_kernel.signal.numbers import _NSIG
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, ULong, UserPtr
from guest_kernel.time.clocks import task_cputime, thread_group_cputime
from guest_kernel.time.timekeeping import NSEC_PER_SEC, NSEC_PER_USEC, ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.ptrace import pt_regs

PAGE_SIZE: Final = 4096
_M64: Final = (1 << 64) - 1


def _task(current: task_struct, nr: int) -> task_struct:
    """Return the task whose number is ``nr``, or for 0 the caller.

    Raises:
        SyscallError: ESRCH: there is none.
    """
    task = find_task_by_vpid(current.k, nr) if nr else current
    if task is None:
        raise SyscallError(Errno.ESRCH)
    return task


def _same_ids(current: task_struct, task: task_struct) -> bool:
    """Tell whether all user and group IDs of ``task`` are the caller's real ones."""
    return (task.uid == task.euid == task.suid == current.uid
            and task.gid == task.egid == task.sgid == current.gid)


# ---- uname(2)

_UTS_LEN: Final = 65
UTS_SYSNAME: Final = b"Linux"
UTS_NODENAME: Final = b"ringlet"
UTS_RELEASE: Final = b"6.12.0-ringlet"
UTS_VERSION: Final = b"#1 ringlet Tue Nov 14 22:13:20 UTC 2023"
UTS_MACHINE: Final = b"x86_64"
UTS_DOMAINNAME: Final = b"(none)"

_UTSNAME: Final = b"".join(name.ljust(_UTS_LEN, b"\0") for name in (
    UTS_SYSNAME, UTS_NODENAME, UTS_RELEASE, UTS_VERSION, UTS_MACHINE, UTS_DOMAINNAME))


# ---- Resource limits and use

RLIMIT: Final = struct.Struct("<QQ")  # rlim_cur rlim_max
RUSAGE_SELF: Final = 0
RUSAGE_CHILDREN: Final = -1
RUSAGE_THREAD: Final = 1
RUSAGE: Final = struct.Struct("<18q")
TMS: Final = struct.Struct("<4q")  # utime stime cutime cstime
NSEC_PER_CLOCK_T: Final = NSEC_PER_SEC // 100  # USER_HZ
SYSINFO: Final = struct.Struct("<q9QH6xQQI4x")

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
    if who == RUSAGE_CHILDREN:
        return _pack_rusage(signal.cutime, signal.cstime, signal.cmaxrss, signal.cmin_flt,
                            signal.cmaj_flt, signal.cnvcsw, signal.cnivcsw)
    mm = task.mm
    maxrss = signal.maxrss if mm is None else max(
        signal.maxrss, mm.hiwater_rss, get_mm_rss(mm))
    if who == RUSAGE_THREAD:
        utime, stime, _ = task_cputime(task)
        return _pack_rusage(utime, stime, maxrss, task.min_flt, task.maj_flt, task.nvcsw,
                            task.nivcsw)
    utime, stime, _ = thread_group_cputime(task)
    threads = list(list_for_each_entry(signal.thread_head, task_struct, "thread_node"))
    return _pack_rusage(
        utime, stime, maxrss,
        signal.min_flt + sum(thread.min_flt for thread in threads),
        signal.maj_flt + sum(thread.maj_flt for thread in threads),
        signal.nvcsw + sum(thread.nvcsw for thread in threads),
        signal.nivcsw + sum(thread.nivcsw for thread in threads))


def _pack_rusage(utime: int, stime: int, maxrss: int, min_flt: int, maj_flt: int, nvcsw: int,
                 nivcsw: int) -> bytes:
    return RUSAGE.pack(*_timeval(utime), *_timeval(stime), maxrss * (PAGE_SIZE // 1024), 0, 0, 0,
                       min_flt, maj_flt, 0, 0, 0, 0, 0, 0, nvcsw, nivcsw)


# ---- prctl(2)

PR_SET_PDEATHSIG: Final = 1
PR_GET_PDEATHSIG: Final = 2
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_GET_TIMING: Final = 13
PR_SET_TIMING: Final = 14
PR_SET_NAME: Final = 15
PR_GET_NAME: Final = 16
PR_SET_TIMERSLACK: Final = 29
PR_GET_TIMERSLACK: Final = 30
PR_SET_CHILD_SUBREAPER: Final = 36
PR_GET_CHILD_SUBREAPER: Final = 37
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_GET_TID_ADDRESS: Final = 40

PR_TIMING_STATISTICAL: Final = 0
SUID_DUMP_DISABLE: Final = 0
SUID_DUMP_USER: Final = 1
DEFAULT_TIMER_SLACK_NS: Final = 50_000

_COMM: Final = task_struct.offsetof("comm")


def _set_pdeathsig(current: task_struct, number: int, *_: int) -> int:
    if number > _NSIG:
        raise SyscallError(Errno.EINVAL)
    current.pdeath_signal = number
    return 0


def _get_pdeathsig(current: task_struct, va: int, *_: int) -> int:
    put_user_u32(current.k, va, current.pdeath_signal)
    return 0


def _get_dumpable(current: task_struct, *_: int) -> int:
    return current.dumpable


def _set_dumpable(current: task_struct, value: int, *_: int) -> int:
    if value not in (SUID_DUMP_DISABLE, SUID_DUMP_USER):
        raise SyscallError(Errno.EINVAL)
    current.dumpable = value
    return 0


def _get_timing(current: task_struct, *_: int) -> int:
    return PR_TIMING_STATISTICAL


def _set_timing(current: task_struct, timing: int, *_: int) -> int:
    if timing != PR_TIMING_STATISTICAL:
        raise SyscallError(Errno.EINVAL)
    return 0


def _set_name(current: task_struct, va: int, *_: int) -> int:
    current.comm = strncpy_from_user(current.k, va, TASK_COMM_LEN - 1)
    return 0


def _get_name(current: task_struct, va: int, *_: int) -> int:
    k, place = current.k, current.pa + _COMM
    copy_to_user(k, va, bytes(k.u8[place : place + TASK_COMM_LEN]))
    return 0


def _get_timerslack(current: task_struct, *_: int) -> int:
    return current.timer_slack_ns


def _set_timerslack(current: task_struct, slack: int, *_: int) -> int:
    current.timer_slack_ns = slack or DEFAULT_TIMER_SLACK_NS
    return 0


def _set_child_subreaper(current: task_struct, value: int, *_: int) -> int:
    """Make the caller the one that orphans among its descendants go to, or not any more."""
    assert current.signal is not None
    current.signal.is_child_subreaper = int(value != 0)
    if value:
        _propagate_has_child_subreaper(current)
    return 0


def _propagate_has_child_subreaper(task: task_struct) -> None:
    """Tell all descendants that there is a reaper nearer than init."""
    for child in list_for_each_entry(task.children, task_struct, "sibling"):
        assert child.signal is not None
        child.signal.has_child_subreaper = 1
        _propagate_has_child_subreaper(child)


def _get_child_subreaper(current: task_struct, va: int, *_: int) -> int:
    assert current.signal is not None
    put_user_u32(current.k, va, current.signal.is_child_subreaper)
    return 0


def _set_no_new_privs(current: task_struct, value: int, *rest: int) -> int:
    if value != 1 or any(rest):
        raise SyscallError(Errno.EINVAL)
    current.no_new_privs = 1
    return 0


def _get_no_new_privs(current: task_struct, *arguments: int) -> int:
    if any(arguments):
        raise SyscallError(Errno.EINVAL)
    return current.no_new_privs


def _get_tid_address(current: task_struct, va: int, *_: int) -> int:
    put_user_u64(current.k, va, current.clear_child_tid)
    return 0


_PRCTL: Final[dict[int, Callable[..., int]]] = {
    PR_SET_PDEATHSIG: _set_pdeathsig, PR_GET_PDEATHSIG: _get_pdeathsig,
    PR_GET_DUMPABLE: _get_dumpable, PR_SET_DUMPABLE: _set_dumpable,
    PR_GET_TIMING: _get_timing, PR_SET_TIMING: _set_timing,
    PR_SET_NAME: _set_name, PR_GET_NAME: _get_name,
    PR_SET_TIMERSLACK: _set_timerslack, PR_GET_TIMERSLACK: _get_timerslack,
    PR_SET_CHILD_SUBREAPER: _set_child_subreaper, PR_GET_CHILD_SUBREAPER: _get_child_subreaper,
    PR_SET_NO_NEW_PRIVS: _set_no_new_privs, PR_GET_NO_NEW_PRIVS: _get_no_new_privs,
    PR_GET_TID_ADDRESS: _get_tid_address,
}


# ---- membarrier(2)
#
# With one CPU every other thread has been through a context switch, which orders memory, when the
# caller runs.  So all that is left is to keep the registrations.

MEMBARRIER_CMD_QUERY: Final = 0
MEMBARRIER_CMD_GLOBAL: Final = 1 << 0
MEMBARRIER_CMD_GLOBAL_EXPEDITED: Final = 1 << 1
MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: Final = 1 << 2
MEMBARRIER_CMD_PRIVATE_EXPEDITED: Final = 1 << 3
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: Final = 1 << 4
MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 5
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 6
MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 7
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 8
MEMBARRIER_CMD_GET_REGISTRATIONS: Final = 1 << 9
MEMBARRIER_CMD_BITMASK: Final = (1 << 10) - 1
MEMBARRIER_CMD_FLAG_CPU: Final = 1

# mm->membarrier_state: of each kind, that it was asked for and that it may be used.
MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY: Final = 1 << 0
MEMBARRIER_STATE_PRIVATE_EXPEDITED: Final = 1 << 1
MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY: Final = 1 << 2
MEMBARRIER_STATE_GLOBAL_EXPEDITED: Final = 1 << 3
MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY: Final = 1 << 4
MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 5
MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY: Final = 1 << 6
MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 7

# What a registration sets, and is known by.  All but the first set PRIVATE_EXPEDITED too, so that
# it is reported with each of them although it is not ready.
_REGISTRATIONS: Final = {
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
        MEMBARRIER_STATE_GLOBAL_EXPEDITED | MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED | MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE
        | MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY,
}

_NEEDS: Final = {
    MEMBARRIER_CMD_PRIVATE_EXPEDITED: MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY,
}

# The spare word of mm_struct is Linux's mm->membarrier_state: a new address space has none.
_MEMBARRIER_STATE: Final = mm_struct.offsetof("membarrier_state")


# ---- rseq(2)
#
#    0  cpu_id_start   u32   always a CPU's number
#    4  cpu_id         u32   the CPU's number, or RSEQ_CPU_ID_UNINITIALIZED
#    8  rseq_cs        u64   the critical section that user space is in: struct rseq_cs
#   16  flags          u32   must be 0
#   20  node_id        u32   always 0: one memory node
#   24  mm_cid         u32   always 0: at most one thread of a process runs at a time

ORIG_RSEQ_SIZE: Final = 32
RSEQ_FLAG_UNREGISTER: Final = 1
RSEQ_CPU_ID_UNINITIALIZED: Final = 0xFFFF_FFFF
RSEQ_CS: Final = struct.Struct("<IIQQQ")  # version flags start_ip post_commit_offset abort_ip

_RSEQ_HEAD: Final = struct.Struct("<IIQ")  # cpu_id_start cpu_id rseq_cs
_RSEQ_CPU_IDS: Final = struct.Struct("<II")
_RSEQ_CS_POINTER: Final = 8
_RSEQ_FLAGS: Final = 16
_RSEQ_NODE_ID: Final = 20


def _rseq_register(current: task_struct, va: int, size: int, sig: int) -> None:
    """Begin to keep the area at ``va``.

    ``rseq_cs`` is cleared, because C libraries exist that hand in the area of a thread that is gone
    (Linux does so since 6.14).

    Raises:
        SyscallError: EINVAL: misplaced, or too small.  EFAULT: it cannot be written.
    """
    if size < ORIG_RSEQ_SIZE or va % ORIG_RSEQ_SIZE:
        raise SyscallError(Errno.EINVAL)
    if va + size > TASK_SIZE_MAX:
        raise SyscallError(Errno.EFAULT)
    k: Kernel = current.k
    copy_to_user(k, va, _RSEQ_HEAD.pack(0, 0, 0))
    copy_to_user(k, va + _RSEQ_NODE_ID, _RSEQ_CPU_IDS.pack(0, 0))
    current.rseq, current.rseq_len, current.rseq_sig = va, size, sig


def _rseq_unregister(current: task_struct, va: int, size: int, sig: int) -> None:
    """Give the area back.

    Raises:
        SyscallError: EINVAL: it is not the registered one.  EPERM: the signature is another.
            EFAULT: it cannot be written.
    """
    if not va or current.rseq != va or current.rseq_len != size:
        raise SyscallError(Errno.EINVAL)
    if current.rseq_sig != sig:
        raise SyscallError(Errno.EPERM)
    k: Kernel = current.k
    copy_to_user(k, va, _RSEQ_CPU_IDS.pack(0, RSEQ_CPU_ID_UNINITIALIZED))
    copy_to_user(k, va + _RSEQ_NODE_ID, _RSEQ_CPU_IDS.pack(0, 0))
    current.rseq = current.rseq_len = current.rseq_sig = 0


def rseq_handle_notify_resume(task: task_struct, regs: pt_regs) -> bool:
    """Restart the critical section that ``task``, in ring 3, is about to be interrupted in.

    To be called on the way back to ring 3 before another task runs, and before a handler of a
    signal is set up.  Linux does it after the task was switched back to, but nothing has been
    executed in between; the numbers of CPU and node, which it then writes, never change here.

    Args:
        regs: of ring 3; ``ip`` becomes the section's abort handler if it lies in the section.

    Returns:
        False: the area or its section cannot be used: the task must die of SIGSEGV.

    Preconditions:
        ``task`` is current and ``task.rseq`` is not 0.

    See: Linux kernel/rseq.c __rseq_handle_notify_resume(), rseq_ip_fixup().
    """
    k: Kernel = task.k
    area = task.rseq
    try:
        section = get_user_u64(k, area + _RSEQ_CS_POINTER)
        if not section:
            return True
        if section >= TASK_SIZE:
            return False
        version, flags, start, size, abort = RSEQ_CS.unpack(
            copy_from_user(k, section, RSEQ_CS.size))
        # The second excludes a sum that overflows, the last an abort handler in its own section.
        if (version or start + size >= TASK_SIZE or abort >= TASK_SIZE
                or start <= abort < start + size
                or get_user_u32(k, (abort - 4) & _M64) != task.rseq_sig):
            return False
        inside = start <= regs.ip < start + size
        if inside and (flags or get_user_u32(k, area + _RSEQ_FLAGS)):
            return False
        put_user_u64(k, area + _RSEQ_CS_POINTER, 0)
    except UserAccessError:
        return False
    if inside:
        regs.ip = abort
    return True


# ---- Robust futexes

ROBUST_LIST_HEAD_SIZE: Final = 24


def _ptrace_may_access(current: task_struct, task: task_struct) -> bool:
    """Tell whether the caller may look into ``task``.

    See ptrace(2), "Ptrace access mode checking", PTRACE_MODE_READ_REALCREDS.
    """
    if task.signal == current.signal or capable(current.k):
        return True
    return _same_ids(current, task) and (task.mm is None or task.dumpable == SUID_DUMP_USER)


# System calls


@SYSCALL_DEFINE
def sys_newuname(current: task_struct, name: UserPtr) -> int:
    """Return the names of the system.  See uname(2)."""
    copy_to_user(current.k, name, _UTSNAME)
    return 0


@SYSCALL_DEFINE
def sys_getrlimit(current: task_struct, resource: UInt, rlim: UserPtr) -> int:
    """Return a resource limit.  See getrlimit(2)."""
    copy_to_user(current.k, rlim, RLIMIT.pack(*do_prlimit(current, resource, None)))
    return 0


@SYSCALL_DEFINE
def sys_setrlimit(current: task_struct, resource: UInt, rlim: UserPtr) -> int:
    """Set a resource limit.  See setrlimit(2).

    Limits: RLIMIT_CPU, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_LOCKS, RLIMIT_MSGQUEUE, RLIMIT_RTTIME and
    RLIMIT_SIGPENDING are kept, but limit nothing.
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
    task = _task(current, pid)
    if task != current and not _same_ids(current, task) and not capable(k):
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
def sys_prctl(current: task_struct, option: Int, arg2: ULong, arg3: ULong, arg4: ULong,
              arg5: ULong) -> int:
    """Get or set an attribute of the caller.  See prctl(2).

    Limits: PDEATHSIG is kept but not sent, a CHILD_SUBREAPER kept but passed over for init,
    TIMERSLACK kept but not used.  Beside these there are DUMPABLE, NAME, NO_NEW_PRIVS, TID_ADDRESS
    and TIMING; all others are EINVAL.
    """
    operation = _PRCTL.get(option)
    if operation is None:
        raise SyscallError(Errno.EINVAL)
    return operation(current, arg2, arg3, arg4, arg5)


@SYSCALL_DEFINE
def sys_sched_yield(current: task_struct) -> int:
    """Let the other runnable tasks run first.  See sched_yield(2)."""
    if runqueue(current.k).nr_running > 1:
        resched_curr(current.k)
    return 0


@SYSCALL_DEFINE
def sys_sched_getaffinity(current: task_struct, pid: Int, length: UInt, mask: UserPtr) -> int:
    """Return the CPUs that a task may run on: the one that there is.  See sched_getaffinity(2)."""
    if not length & 0x1FFF_FFFF or length % 8:
        raise SyscallError(Errno.EINVAL)
    put_user_u64(current.k, mask, _task(current, pid).cpus_mask)
    return 8


@SYSCALL_DEFINE
def sys_membarrier(current: task_struct, cmd: Int, flags: UInt, cpu_id: Int) -> int:
    """Order memory between threads.  See membarrier(2)."""
    if flags and (cmd != MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ or flags != MEMBARRIER_CMD_FLAG_CPU):
        raise SyscallError(Errno.EINVAL)
    u32, place = current.k.u32, (current_mm(current).pa + _MEMBARRIER_STATE) >> 2
    if cmd == MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_BITMASK
    if cmd == MEMBARRIER_CMD_GET_REGISTRATIONS:
        return sum(command for command, state in _REGISTRATIONS.items() if u32[place] & state)
    if cmd in _REGISTRATIONS:
        u32[place] |= _REGISTRATIONS[cmd]
        if cmd != MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
            u32[place] |= MEMBARRIER_STATE_PRIVATE_EXPEDITED
    elif cmd in _NEEDS:
        if not u32[place] & _NEEDS[cmd]:
            raise SyscallError(Errno.EPERM)
    elif cmd not in (MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED):
        raise SyscallError(Errno.EINVAL)
    return 0


@SYSCALL_DEFINE
def sys_rseq(current: task_struct, rseq: UserPtr, rseq_len: UInt, flags: Int, sig: UInt) -> int:
    """Register an area for restartable sequences, or give it back.

    See: Documentation/userspace-api/rseq.rst; Linux kernel/rseq.c.
    """
    if flags & RSEQ_FLAG_UNREGISTER:
        if flags != RSEQ_FLAG_UNREGISTER:
            raise SyscallError(Errno.EINVAL)
        _rseq_unregister(current, rseq, rseq_len, sig)
        return 0
    if flags:
        raise SyscallError(Errno.EINVAL)
    if current.rseq:
        if current.rseq != rseq or current.rseq_len != rseq_len:
            raise SyscallError(Errno.EINVAL)
        raise SyscallError(Errno.EBUSY if current.rseq_sig == sig else Errno.EPERM)
    _rseq_register(current, rseq, rseq_len, sig)
    return 0


@SYSCALL_DEFINE
def sys_set_tid_address(current: task_struct, tidptr: UserPtr) -> int:
    """Name the word that is cleared when the thread exits.  See set_tid_address(2).

    Limits: the word is kept, but not cleared: nobody but the thread's own process could see it.
    """
    current.clear_child_tid = tidptr
    return current.pid


@SYSCALL_DEFINE
def sys_set_robust_list(current: task_struct, head: UserPtr, length: ULong) -> int:
    """Name the list of futexes to release when the thread dies.  See set_robust_list(2).

    Limits: the list is kept, but not looked at: there are no futexes yet.
    """
    if length != ROBUST_LIST_HEAD_SIZE:
        raise SyscallError(Errno.EINVAL)
    current.robust_list = head
    return 0


@SYSCALL_DEFINE
def sys_get_robust_list(current: task_struct, pid: Int, head_ptr: UserPtr,
                        len_ptr: UserPtr) -> int:
    """Return the list of futexes of a thread.  See get_robust_list(2)."""
    k: Kernel = current.k
    task = _task(current, pid)
    if not _ptrace_may_access(current, task):
        raise SyscallError(Errno.EPERM)
    put_user_u64(k, len_ptr, ROBUST_LIST_HEAD_SIZE)
    put_user_u64(k, head_ptr, task.robust_list)
    return 0
