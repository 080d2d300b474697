"""The system calls about scheduling.

See: Linux kernel/sched/syscalls.c (6.12), kernel/sys.c setpriority(); sched(7).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import (
    DEFAULT_PRIO,
    MAX_NICE,
    MAX_RT_PRIO,
    MIN_NICE,
    RLIMIT_NICE,
    RLIMIT_RTPRIO,
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_NORMAL,
    SCHED_RESET_ON_FORK,
    SCHED_RR,
    task_struct,
)
from guest_kernel.mm.uaccess import (
    copy_from_user,
    copy_to_user,
    get_user_u32,
    put_user_u32,
    put_user_u64,
)
from guest_kernel.mm.vma import capable
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    do_each_pid_task,
    find_pid,
    find_process_by_pid,
    task_pgrp,
)
from guest_kernel.process.tasks import for_each_process_thread, for_each_thread
from guest_kernel.sched.core import (
    SCHED_CLASSES,
    Attributes,
    rt_policy,
    set_attributes,
    set_user_nice,
    task_nice,
    yield_task,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr
from guest_kernel.time.timekeeping import NSEC_PER_SEC

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# ---- getpriority(2)
PRIO_PROCESS: Final = 0
PRIO_PGRP: Final = 1
PRIO_USER: Final = 2

# ---- sched_setattr(2)
SCHED_FLAG_RESET_ON_FORK: Final = 0x01
SCHED_FLAG_RECLAIM: Final = 0x02
SCHED_FLAG_DL_OVERRUN: Final = 0x04
SCHED_FLAG_KEEP_POLICY: Final = 0x08
SCHED_FLAG_KEEP_PARAMS: Final = 0x10
SCHED_FLAG_UTIL_CLAMP_MIN: Final = 0x20
SCHED_FLAG_UTIL_CLAMP_MAX: Final = 0x40
SCHED_FLAG_UTIL_CLAMP: Final = SCHED_FLAG_UTIL_CLAMP_MIN | SCHED_FLAG_UTIL_CLAMP_MAX
SCHED_FLAG_ALL: Final = 0x7F

# struct sched_attr: size policy flags nice priority runtime deadline period util_min util_max
SCHED_ATTR: Final = struct.Struct("<IIQiIQQQII")
SCHED_ATTR_SIZE_VER0: Final = 48  # without the last two
TIMESPEC: Final = struct.Struct("<qq")

SETPARAM_POLICY: Final = -1  # sched_setparam(2): the policy stays
_POLICIES: Final = (SCHED_NORMAL, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE)


class _Request:
    """What a caller asks for: struct sched_attr."""

    __slots__ = ("flags", "nice", "policy", "priority", "runtime")

    def __init__(self, policy: int, flags: int = 0, nice: int = 0, priority: int = 0,
                 runtime: int = 0) -> None:
        self.policy = policy
        self.flags = flags
        self.nice = nice
        self.priority = priority
        self.runtime = runtime


# ------------------------------------------------------------------------------- permission


def _rlimit(task: task_struct, resource: int) -> int:
    assert task.signal is not None
    return task.signal.rlim[resource].rlim_cur


def is_nice_reduction(task: task_struct, nice: int) -> bool:
    """Tell whether RLIMIT_NICE allows ``task`` a nice value: 20 - nice is at most the limit."""
    return MAX_NICE + 1 - nice <= _rlimit(task, RLIMIT_NICE)


def check_same_owner(current: task_struct, task: task_struct) -> bool:
    """Tell whether the caller's effective user ID is one of the task's."""
    return current.euid in (task.euid, task.uid)


def _user_check_sched_setscheduler(current: task_struct, task: task_struct, policy: int,
                                   reset_on_fork: bool, request: _Request) -> None:
    """See user_check_sched_setscheduler().

    Raises:
        SyscallError: EPERM: it takes CAP_SYS_NICE.
    """
    if capable(current.k):
        return
    refused = not check_same_owner(current, task)
    if policy in (SCHED_NORMAL, SCHED_BATCH):
        refused |= request.nice < task_nice(task) and not is_nice_reduction(task, request.nice)
    if rt_policy(policy):
        limit = _rlimit(task, RLIMIT_RTPRIO)
        refused |= policy != task.policy and not limit
        refused |= request.priority > max(task.rt_priority, limit)
    if task.policy == SCHED_IDLE != policy:  # it counts as a nice value of 20
        refused |= not is_nice_reduction(task, task_nice(task))
    refused |= bool(task.sched_reset_on_fork) and not reset_on_fork
    if refused:
        raise SyscallError(Errno.EPERM)


# --------------------------------------------------------------------------- policy and priority


def _sched_setscheduler(current: task_struct, task: task_struct, request: _Request) -> None:
    """Check and change how ``task`` is scheduled.  See __sched_setscheduler().

    Raises:
        SyscallError: EINVAL: no such policy, flag or priority.  EOPNOTSUPP: utilisation clamps,
            which a Linux without CONFIG_UCLAMP_TASK does not have either.  EPERM.
    """
    policy = request.policy
    if policy < 0:
        policy, reset_on_fork = task.policy, bool(task.sched_reset_on_fork)
    else:
        reset_on_fork = bool(request.flags & SCHED_FLAG_RESET_ON_FORK)
        if policy not in _POLICIES:
            raise SyscallError(Errno.EINVAL)
    if (request.flags & ~SCHED_FLAG_ALL or request.priority > MAX_RT_PRIO - 1
            or rt_policy(policy) != bool(request.priority)):
        raise SyscallError(Errno.EINVAL)
    _user_check_sched_setscheduler(current, task, policy, reset_on_fork, request)
    if request.flags & SCHED_FLAG_UTIL_CLAMP:
        raise SyscallError(Errno.EOPNOTSUPP)
    if request.flags & SCHED_FLAG_KEEP_PARAMS or not _differs(task, policy, request):
        task.sched_reset_on_fork = int(reset_on_fork)
        return
    fair = policy in (SCHED_NORMAL, SCHED_BATCH)
    set_attributes(task, Attributes(
        policy, reset_on_fork, request.nice if fair else None,
        request.priority, request.runtime if fair else _own_runtime(task)))
    if rt_policy(policy):
        task.timer_slack_ns = 0
    elif not task.timer_slack_ns:
        task.timer_slack_ns = task.default_timer_slack_ns


def _differs(task: task_struct, policy: int, request: _Request) -> bool:
    """Tell whether the request changes anything but what happens on a fork."""
    if policy != task.policy:
        return True
    if rt_policy(policy):
        return request.priority != task.rt_priority
    return policy != SCHED_IDLE and (request.nice != task_nice(task)
                                     or request.runtime != _own_runtime(task))


def _own_runtime(task: task_struct) -> int:
    """Return what ``task`` has asked for by sched_setattr(2); 0: nothing."""
    return task.se.slice if task.se.custom_slice else 0


def _do_sched_setscheduler(current: task_struct, pid: int, policy: int, param: int) -> int:
    if not param or pid < 0:
        raise SyscallError(Errno.EINVAL)
    priority = get_user_u32(current.k, param)
    task = find_process_by_pid(current, pid)
    request = _Request(policy, 0, task_nice(task), priority, _own_runtime(task))
    if policy != SETPARAM_POLICY and policy & SCHED_RESET_ON_FORK:
        request.flags |= SCHED_FLAG_RESET_ON_FORK
        request.policy &= ~SCHED_RESET_ON_FORK
    _sched_setscheduler(current, task, request)
    return 0


def _sched_copy_attr(k: Kernel, uattr: int) -> _Request:
    """Read a struct sched_attr of any version.

    Raises:
        SyscallError: E2BIG: its size is none that we know, which is then stored there, or there is
            something behind what we know.  EFAULT.  EINVAL.
    """
    size = get_user_u32(k, uattr) or SCHED_ATTR_SIZE_VER0
    raw = b""
    if SCHED_ATTR_SIZE_VER0 <= size <= PAGE_SIZE:
        raw = copy_from_user(k, uattr, size)
    if not raw or any(raw[SCHED_ATTR.size :]):
        put_user_u32(k, uattr, SCHED_ATTR.size)
        raise SyscallError(Errno.E2BIG)
    _, policy, flags, nice, priority, runtime, *_ = SCHED_ATTR.unpack(
        raw[: SCHED_ATTR.size].ljust(SCHED_ATTR.size, b"\0"))
    if flags & SCHED_FLAG_UTIL_CLAMP and size < SCHED_ATTR.size:
        raise SyscallError(Errno.EINVAL)
    return _Request(policy, flags, max(MIN_NICE, min(nice, MAX_NICE)), priority, runtime)


# ------------------------------------------------------------------------------- nice values


def _prio_targets(current: task_struct, which: int, who: int) -> Iterable[task_struct]:
    """Return the tasks that getpriority(2) means.

    Raises:
        SyscallError: EINVAL: no such kind.  ESRCH: no such process.
    """
    if which == PRIO_PROCESS:
        return [find_process_by_pid(current, who)]
    if which == PRIO_PGRP:
        group = find_pid(current.k, who) if who else task_pgrp(current)
        return [thread for leader in do_each_pid_task(group, PIDTYPE_PGID)
                for thread in for_each_thread(leader)]
    if which == PRIO_USER:
        uid = who & 0xFFFF_FFFF or current.uid
        return [task for task in for_each_process_thread(current.k) if task.uid == uid]
    raise SyscallError(Errno.EINVAL)


def _set_one_prio(current: task_struct, task: task_struct, nice: int) -> None:
    """Change one task's nice value.

    Raises:
        SyscallError: EPERM: it is another user's.  EACCES: it would rise above RLIMIT_NICE.
    """
    if current.euid not in (task.uid, task.euid) and not capable(current.k):
        raise SyscallError(Errno.EPERM)
    if (nice < task_nice(task) and not is_nice_reduction(task, nice)
            and not capable(current.k)):
        raise SyscallError(Errno.EACCES)
    set_user_nice(task, nice)


# System calls


@SYSCALL_DEFINE
def sys_setpriority(current: task_struct, which: Int, who: Int, niceval: Int) -> int:
    """Change the nice values of a process, of a group's or of a user's.  See setpriority(2)."""
    nice = max(MIN_NICE, min(niceval, MAX_NICE))
    error: Errno | None = Errno.ESRCH
    for task in _prio_targets(current, which, who):
        try:
            _set_one_prio(current, task, nice)
            error = None if error == Errno.ESRCH else error
        except SyscallError as refused:
            error = refused.errno
    if error is not None:
        raise SyscallError(error)
    return 0


@SYSCALL_DEFINE
def sys_getpriority(current: task_struct, which: Int, who: Int) -> int:
    """Return 20 minus the least nice value of those meant.  See getpriority(2)."""
    nice = min(map(task_nice, _prio_targets(current, which, who)), default=None)
    if nice is None:
        raise SyscallError(Errno.ESRCH)
    return MAX_NICE + 1 - nice


@SYSCALL_DEFINE
def sys_sched_setscheduler(current: task_struct, pid: Int, policy: Int, param: UserPtr) -> int:
    """Set a thread's policy and priority.  See sched_setscheduler(2).

    Limits: SCHED_DEADLINE is not there: EINVAL.
    """
    if policy < 0:
        raise SyscallError(Errno.EINVAL)
    return _do_sched_setscheduler(current, pid, policy, param)


@SYSCALL_DEFINE
def sys_sched_setparam(current: task_struct, pid: Int, param: UserPtr) -> int:
    """Set a thread's real-time priority.  See sched_setparam(2)."""
    return _do_sched_setscheduler(current, pid, SETPARAM_POLICY, param)


@SYSCALL_DEFINE
def sys_sched_getscheduler(current: task_struct, pid: Int) -> int:
    """Return a thread's policy.  See sched_getscheduler(2)."""
    if pid < 0:
        raise SyscallError(Errno.EINVAL)
    task = find_process_by_pid(current, pid)
    return task.policy | (SCHED_RESET_ON_FORK if task.sched_reset_on_fork else 0)


@SYSCALL_DEFINE
def sys_sched_getparam(current: task_struct, pid: Int, param: UserPtr) -> int:
    """Return a thread's real-time priority, 0 if it has none.  See sched_getparam(2)."""
    if not param or pid < 0:
        raise SyscallError(Errno.EINVAL)
    put_user_u32(current.k, param, find_process_by_pid(current, pid).rt_priority)
    return 0


@SYSCALL_DEFINE
def sys_sched_setattr(current: task_struct, pid: Int, uattr: UserPtr, flags: UInt) -> int:
    """Set a thread's policy and all that goes with it.  See sched_setattr(2).

    ``sched_runtime`` is the slice that a fair task asks for, 0.1 to 100 ms, 0 for the default; the
    teaching policies read it as they need it, see sched/ostep.py.

    Limits: SCHED_DEADLINE is not there: EINVAL. Utilisation clamps are not: EOPNOTSUPP.
    """
    if not uattr or pid < 0 or flags:
        raise SyscallError(Errno.EINVAL)
    request = _sched_copy_attr(current.k, uattr)
    if request.policy >> 31:
        raise SyscallError(Errno.EINVAL)
    if request.flags & SCHED_FLAG_KEEP_POLICY:
        request.policy = SETPARAM_POLICY
    task = find_process_by_pid(current, pid)
    if request.flags & SCHED_FLAG_KEEP_PARAMS:
        if rt_policy(task.policy):
            request.priority = task.rt_priority
        else:
            request.nice = task_nice(task)
    _sched_setscheduler(current, task, request)
    return 0


@SYSCALL_DEFINE
def sys_sched_getattr(current: task_struct, pid: Int, uattr: UserPtr, usize: UInt,
                      flags: UInt) -> int:
    """Return a thread's policy and all that goes with it.  See sched_getattr(2)."""
    if (not uattr or pid < 0 or not SCHED_ATTR_SIZE_VER0 <= usize <= PAGE_SIZE or flags):
        raise SyscallError(Errno.EINVAL)
    task = find_process_by_pid(current, pid)
    reset = SCHED_FLAG_RESET_ON_FORK if task.sched_reset_on_fork else 0
    nice = priority = runtime = 0
    if rt_policy(task.policy):
        priority = task.rt_priority
    else:
        nice, runtime = task.static_prio - DEFAULT_PRIO, task.se.slice
    size = min(usize, SCHED_ATTR.size)
    copy_to_user(current.k, uattr, SCHED_ATTR.pack(
        size, task.policy, reset, nice, priority, runtime, 0, 0, 0, 0)[:size])
    return 0


@SYSCALL_DEFINE
def sys_sched_get_priority_max(current: task_struct, policy: Int) -> int:
    """Return the highest priority of a policy.  See sched_get_priority_max(2)."""
    return _priorities(policy)[1]


@SYSCALL_DEFINE
def sys_sched_get_priority_min(current: task_struct, policy: Int) -> int:
    """Return the lowest priority of a policy.  See sched_get_priority_min(2)."""
    return _priorities(policy)[0]


def _priorities(policy: int) -> tuple[int, int]:
    if rt_policy(policy):
        return 1, MAX_RT_PRIO - 1
    if policy in _POLICIES or policy == SCHED_DEADLINE:
        return 0, 0
    raise SyscallError(Errno.EINVAL)


@SYSCALL_DEFINE
def sys_sched_rr_get_interval(current: task_struct, pid: Int, interval: UserPtr) -> int:
    """Return how long a thread's turns are; 0: as it likes.  See sched_rr_get_interval(2)."""
    if pid < 0:
        raise SyscallError(Errno.EINVAL)
    task = find_process_by_pid(current, pid)
    length = SCHED_CLASSES[task.sched_class].get_rr_interval(task.k, task.pa)
    copy_to_user(current.k, interval, TIMESPEC.pack(*divmod(length, NSEC_PER_SEC)))
    return 0


@SYSCALL_DEFINE
def sys_sched_yield(current: task_struct) -> int:
    """Let the other runnable tasks run first.  See sched_yield(2)."""
    yield_task(current.k)
    return 0


@SYSCALL_DEFINE
def sys_sched_setaffinity(current: task_struct, pid: Int, length: UInt, mask: UserPtr) -> int:
    """Choose the CPUs that a task may run on, of the one that there is.

    See sched_setaffinity(2).
    """
    raw = copy_from_user(current.k, mask, min(length, 8)) if length else b""
    task = find_process_by_pid(current, pid)
    if not check_same_owner(current, task) and not capable(current.k):
        raise SyscallError(Errno.EPERM)
    allowed = int.from_bytes(raw, "little") & 1
    if not allowed:
        raise SyscallError(Errno.EINVAL)
    task.cpus_mask = allowed
    return 0


@SYSCALL_DEFINE
def sys_sched_getaffinity(current: task_struct, pid: Int, length: UInt, mask: UserPtr) -> int:
    """Return the CPUs that a task may run on: the one that there is.  See sched_getaffinity(2)."""
    if not length & 0x1FFF_FFFF or length % 8:
        raise SyscallError(Errno.EINVAL)
    put_user_u64(current.k, mask, find_process_by_pid(current, pid).cpus_mask)
    return 8
