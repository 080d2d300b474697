"""Signals: sending them, what waits, and what becomes of the task that takes one.

A signal goes through two steps.  *Generation* puts it into a set, the thread's own or its group's,
with a ``sigqueue`` that says why, and wakes who is to take it.  *Delivery* happens on the way back
to ring 3, in :func:`get_signal`: the task takes the next one that it has not blocked, and does what
it has asked for, or the default action.  The frame of a handler is built in ``signal/delivery.py``.

See: Linux kernel/signal.c; signal(7).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from guest_kernel.errors import BUG, Errno, Sleep, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.sched import (
    __TASK_STOPPED,
    JOBCTL_PENDING_MASK,
    JOBCTL_STOP_CONSUME,
    JOBCTL_STOP_DEQUEUED,
    JOBCTL_STOP_PENDING,
    JOBCTL_STOP_SIGMASK,
    JOBCTL_STOPPED,
    PF_EXITING,
    PF_KTHREAD,
    PF_SIGNALED,
    RLIMIT_SIGPENDING,
    SIGNAL_CLD_CONTINUED,
    SIGNAL_CLD_MASK,
    SIGNAL_CLD_STOPPED,
    SIGNAL_GROUP_EXIT,
    SIGNAL_STOP_CONTINUED,
    SIGNAL_STOP_MASK,
    SIGNAL_STOP_STOPPED,
    SIGNAL_UNKILLABLE,
    SYSCALL_WORK_SYSCALL_TRACE,
    TASK_INTERRUPTIBLE,
    TASK_STOPPED,
    TASK_WAKEKILL,
    TIF_SIGPENDING,
    k_sigaction,
    pid,
    rlimit,
    sighand_struct,
    signal_struct,
    sigpending,
    task_struct,
)
from guest_kernel.layout.signal import SIGQUEUE_PREALLOC, sigqueue, user_struct
from guest_kernel.lib.list import (
    list_add_tail,
    list_add_tail_va,
    list_del_init,
    list_del_va,
    list_empty,
    list_for_each_entry,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import kmem_cache_alloc, kmem_cache_free, struct_cache
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.ids import same_session
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_TGID,
    do_each_pid_task,
    find_pid,
    find_task_by_vpid,
    task_pgrp,
    task_session,
)
from guest_kernel.process.tasks import (
    for_each_process,
    for_each_thread,
    next_thread,
    thread_group_empty,
)
from guest_kernel.sched.core import set_task_state, task_state, try_to_wake_up
from guest_kernel.sched.wait import signal_pending, wake_up_pa
from guest_kernel.signal.numbers import (
    _NSIG,
    CLD_CONTINUED,
    CLD_DUMPED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    NSIG_CODES,
    NSIGPOLL,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_RESETHAND,
    SI_ASYNCNL,
    SI_DETHREAD,
    SI_KERNEL,
    SI_TKILL,
    SI_USER,
    SIG_DFL,
    SIG_IGN,
    SIG_KERNEL_COREDUMP_MASK,
    SIG_KERNEL_IGNORE_MASK,
    SIG_KERNEL_ONLY_MASK,
    SIG_KERNEL_STOP_MASK,
    SIGALRM,
    SIGCHLD,
    SIGCONT,
    SIGKILL,
    SIGRTMIN,
    SIGSTOP,
    SYNCHRONOUS_MASK,
    sigmask,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, Long, ULong, UserPtr
from guest_kernel.time.rearm import (
    itimer_rearm,
    posixtimer_deliver_signal,
    posixtimer_signal_dropped,
)

_SIGKILL: Final = sigmask(SIGKILL)
_NOT_SIGPENDING: Final = ~TIF_SIGPENDING & (1 << 64) - 1
_SIGCONT: Final = sigmask(SIGCONT)
_STOP_OR_CONTINUE: Final = SIG_KERNEL_STOP_MASK | _SIGCONT

COREDUMP: Final = 0x80  # in a wait status: a core was dumped

# ------------------------------------------------------------------------------- siginfo
#
# A siginfo on its way is the 48 bytes of a kernel_siginfo.

_KILL: Final = struct.Struct("<iii4xiI24x")  # signo errno code; pid uid
_RT: Final = struct.Struct("<iii4xiIQ16x")  # and value
_CHLD: Final = struct.Struct("<iii4xiIi4xqq")  # and status utime stime
_FAULT: Final = struct.Struct("<iii4xQ24x")  # signo errno code; addr
_CODE: Final = struct.Struct("<i")
NSEC_PER_USER_TICK: Final = 10_000_000

# Indices in u64.
_SIGNAL: Final = task_struct.offsetof("signal") >> 3
_SIGHAND: Final = task_struct.offsetof("sighand") >> 3
_BLOCKED: Final = task_struct.offsetof("blocked") >> 3
_REAL_BLOCKED: Final = task_struct.offsetof("real_blocked") >> 3
_SYSCALL_WORK: Final = task_struct.offsetof("thread_info.syscall_work") >> 3
_JOBCTL: Final = task_struct.offsetof("jobctl") >> 3
_USER: Final = task_struct.offsetof("user") >> 3
_SIGQUEUE_CACHE: Final = task_struct.offsetof("sigqueue_cache") >> 3
_PARENT: Final = task_struct.offsetof("parent") >> 3
_UTIME: Final = task_struct.offsetof("utime") >> 3
_STIME: Final = task_struct.offsetof("stime") >> 3
_GROUP_EXEC_TASK: Final = signal_struct.offsetof("group_exec_task") >> 3
_RLIM_SIGPENDING: Final = (signal_struct.offsetof("rlim") + RLIMIT_SIGPENDING * rlimit.size
                           + rlimit.offsetof("rlim_cur")) >> 3
# Indices in u32 and i32.
_FLAGS: Final = task_struct.offsetof("flags") >> 2
_STATE: Final = task_struct.offsetof("__state") >> 2
_ON_CPU: Final = task_struct.offsetof("on_cpu") >> 2
_PID: Final = task_struct.offsetof("pid") >> 2
_TGID: Final = task_struct.offsetof("tgid") >> 2
_UID: Final = task_struct.offsetof("uid") >> 2
_EXIT_CODE: Final = task_struct.offsetof("exit_code") >> 2
_SIGNAL_FLAGS: Final = signal_struct.offsetof("flags") >> 2
# Bytes.
_PENDING: Final = task_struct.offsetof("pending")
_SHARED_PENDING: Final = signal_struct.offsetof("shared_pending")
_SET: Final = sigpending.offsetof("signal")
_WAIT_CHLDEXIT: Final = signal_struct.offsetof("wait_chldexit")
_USER_SIGPENDING: Final = user_struct.offsetof("sigpending")
_QUEUE_FLAGS: Final = sigqueue.offsetof("flags")
_QUEUE_USER: Final = sigqueue.offsetof("user")
_QUEUE_SIGNO: Final = sigqueue.offsetof("info.si_signo")
_ACTION: Final = sighand_struct.offsetof("action")
_SIGHAND_FLAGS: Final = k_sigaction.offsetof("flags")
_INFO: Final = sigqueue.offsetof("info")
INFO_SIZE: Final = 48
SIGINFO_SIZE: Final = 128  # of ring 3's siginfo_t
SIGSET_SIZE: Final = 8


def user_info(sig: int, sender: task_struct, code: int = SI_USER) -> bytes:
    """Return the siginfo of a signal that ``sender`` sends by kill(2) or tkill(2)."""
    u32, pa = sender.k.u32, sender.pa
    return _KILL.pack(sig, 0, code, u32[(pa >> 2) + _TGID], u32[(pa >> 2) + _UID])


def kernel_info(sig: int) -> bytes:
    """Return the siginfo of a signal that the kernel sends for no one (SEND_SIG_PRIV)."""
    return _KILL.pack(sig, 0, SI_KERNEL, 0, 0)


def fault_info(sig: int, code: int, va: int) -> bytes:
    """Return the siginfo of an exception at ``va``."""
    return _FAULT.pack(sig, 0, code, va)


def _child_info(child: task_struct, sig: int, code: int, status: int) -> bytes:
    k: Kernel = child.k
    u32, u64, i, w = k.u32, k.u64, child.pa >> 2, child.pa >> 3
    return _CHLD.pack(sig, 0, code, u32[i + _PID], u32[i + _UID], status,
                      u64[w + _UTIME] // NSEC_PER_USER_TICK, u64[w + _STIME] // NSEC_PER_USER_TICK)


def exit_cause(status: int) -> tuple[int, int]:
    """Return ``si_code`` and ``si_status`` of a child that has ended, from its wait status."""
    if status & COREDUMP:
        return CLD_DUMPED, status & 0x7F
    if status & 0x7F:
        return CLD_KILLED, status & 0x7F
    return CLD_EXITED, status >> 8


# ----------------------------------------------------------------------------- pending sets


def recalc_sigpending(task: task_struct) -> None:
    """Set TIF_SIGPENDING of ``task`` to whether it has to look: a signal waits, or a stop."""
    flags = task.pa >> 3  # thread_info.flags is the first word
    if has_pending_signals(task):
        task.k.u64[flags] |= TIF_SIGPENDING
    else:
        task.k.u64[flags] &= _NOT_SIGPENDING


def has_pending_signals(task: task_struct) -> bool:
    """Tell whether ``task`` has something to do in :func:`get_signal`."""
    k, pa = task.k, task.pa
    u64 = k.u64
    signal = u64[(pa >> 3) + _SIGNAL] & PHYSICAL_MASK
    if ((u64[(pa + _PENDING + _SET) >> 3] | u64[(signal + _SHARED_PENDING + _SET) >> 3])
            & ~u64[(pa >> 3) + _BLOCKED]):
        return True
    execs = u64[(signal >> 3) + _GROUP_EXEC_TASK]
    return bool(u64[(pa >> 3) + _JOBCTL] & JOBCTL_STOP_PENDING
                or k.u32[(signal >> 2) + _SIGNAL_FLAGS] & SIGNAL_CLD_MASK
                or (execs and execs & PHYSICAL_MASK != pa))


def set_current_blocked(current: task_struct, mask: int) -> None:
    """Replace the set of signals that ``current`` blocks; SIGKILL and SIGSTOP are left out.

    A signal to the group that it blocks from now on is another thread's.
    """
    u64, place = current.k.u64, (current.pa >> 3) + _BLOCKED
    old = u64[place]
    new = mask & ~SIG_KERNEL_ONLY_MASK
    u64[place] = new
    if new & ~old and not thread_group_empty(current):
        _retarget_shared_pending(current, new & ~old)
    recalc_sigpending(current)


def _retarget_shared_pending(task: task_struct, which: int) -> None:
    """Have other threads look at the group's signals of ``which``: ``task`` will not take them."""
    left = signal_of(task).shared_pending.signal & which
    for thread in for_each_thread(task):
        if not left:
            return
        if thread == task or thread.flags & PF_EXITING or not left & ~thread.blocked:
            continue
        left &= thread.blocked
        if not signal_pending(thread):
            signal_wake_up(thread)


def flush_sigqueue(queue: sigpending, mask: int = (1 << 64) - 1) -> None:
    """Drop the signals of ``mask`` from a set, and what was known of them."""
    if not queue.signal & mask:
        return
    queue.signal &= ~mask
    for entry in list_for_each_entry(queue.list, sigqueue, "list"):
        if sigmask(entry.info.si_signo) & mask:
            _free_sigqueue(entry)


def flush_task_sigqueue(task: task_struct, mask: int) -> None:
    """Drop signals of ``mask`` from the group's set and from those of all its threads."""
    flush_sigqueue(signal_of(task).shared_pending, mask)
    for thread in for_each_thread(task):
        flush_sigqueue(thread.pending, mask)


def _free_sigqueue(entry: sigqueue) -> None:
    if entry.flags & SIGQUEUE_PREALLOC:
        list_del_init(entry.list)
        posixtimer_signal_dropped(entry)
    else:
        _unlink_sigqueue(entry.k, entry.pa)
        kmem_cache_free(entry.k, entry.pa)


def _unlink_sigqueue(k: Kernel, pa: int) -> None:
    list_del_va(k.u64, PAGE_OFFSET + pa)
    user = k.u64[(pa + _QUEUE_USER) >> 3] & PHYSICAL_MASK
    k.i32[(user + _USER_SIGPENDING) >> 2] -= 1


def exit_sigqueue_cache(task: task_struct) -> None:
    """Free the queue entry that a task which ends has kept for the next signal that it sends."""
    place = (task.pa >> 3) + _SIGQUEUE_CACHE
    pa = task.k.u64[place] & PHYSICAL_MASK
    if pa:
        task.k.u64[place] = 0
        kmem_cache_free(task.k, pa)


def _queue_signal(task: task_struct, signal: int, pending: int, info: bytes, *,
                  override_rlimit: bool) -> bool:
    """Put a ``sigqueue`` at the end of a set's list; it counts for the receiver's user.

    Args:
        signal, pending: physical addresses of the group and of the set.

    Returns:
        False: the user's limit is reached, or there is no room.
    """
    k: Kernel = task.k
    u64 = k.u64
    user = u64[(task.pa >> 3) + _USER]
    count = ((user & PHYSICAL_MASK) + _USER_SIGPENDING) >> 2
    if not override_rlimit and k.i32[count] >= u64[(signal >> 3) + _RLIM_SIGPENDING]:
        return False
    cache = ((k.u64[k.current_index] & PHYSICAL_MASK) >> 3) + _SIGQUEUE_CACHE
    pa = u64[cache] & PHYSICAL_MASK
    if pa:
        u64[cache] = 0
    else:
        try:
            pa = kmem_cache_alloc(k, k.slab_memo.get(sigqueue) or struct_cache(k, sigqueue))
        except OutOfFrames:
            return False
    k.i32[count] += 1
    k.u8[pa : pa + sigqueue.size] = bytes(sigqueue.size)
    k.u8[pa + _INFO : pa + _INFO + INFO_SIZE] = info
    u64[(pa + _QUEUE_USER) >> 3] = user
    list_add_tail_va(u64, PAGE_OFFSET + pa, PAGE_OFFSET + pending)
    return True


# ------------------------------------------------------------------------------- generation


def signal_pa(task: task_struct) -> int:
    """Return the physical address of what ``task`` shares with its thread group."""
    va: int = task.k.u64[(task.pa >> 3) + _SIGNAL]
    if not va:
        BUG(f"task {task.pid} has no signal_struct")
    return va & PHYSICAL_MASK


def signal_of(task: task_struct) -> signal_struct:
    """Return what ``task`` shares with its thread group."""
    return signal_struct(task.k, signal_pa(task))


def sigaction_pa(task: task_struct, sig: int) -> int:
    """Return the physical address of the ``k_sigaction`` of a signal."""
    sighand: int = task.k.u64[(task.pa >> 3) + _SIGHAND] & PHYSICAL_MASK
    return sighand + _ACTION + (sig - 1) * k_sigaction.size


def sig_handler(task: task_struct, sig: int) -> int:
    """Return SIG_DFL, SIG_IGN or the user address of the handler."""
    handler: int = task.k.u64[sigaction_pa(task, sig) >> 3]
    return handler


def _is_traced(task: task_struct) -> bool:
    return bool(task.k.u64[(task.pa >> 3) + _SYSCALL_WORK] & SYSCALL_WORK_SYSCALL_TRACE)


def _sig_ignored(task: task_struct, sig: int, flags: int, force: bool) -> bool:
    """Tell whether the signal need not even be queued.  A blocked one must: see signal(7).

    Args:
        flags: the group's, SIGNAL_*.
    """
    u64, w, bit = task.k.u64, task.pa >> 3, sigmask(sig)
    if (u64[w + _BLOCKED] | u64[w + _REAL_BLOCKED]) & bit:
        return False
    handler = sig_handler(task, sig)
    if handler > SIG_IGN or (_is_traced(task) and sig != SIGKILL):
        return False  # a tracer is told even of what is ignored
    if handler == SIG_DFL:
        if flags & SIGNAL_UNKILLABLE and not (force and bit & SIG_KERNEL_ONLY_MASK):
            return True
        return bool(bit & SIG_KERNEL_IGNORE_MASK)
    return True


def _set_stop_flags(signal: signal_struct, flags: int) -> None:
    signal.flags = signal.flags & ~SIGNAL_STOP_MASK | flags


def _prepare_stop_or_continue(task: task_struct, sig: int) -> None:
    """Do what a stop signal or SIGCONT does even if nobody takes it.

    A stop signal takes SIGCONT back, and SIGCONT the stop signals; SIGCONT also continues.  See
    Linux prepare_signal().
    """
    if sig != SIGCONT:
        flush_task_sigqueue(task, _SIGCONT)
    else:
        flush_task_sigqueue(task, SIG_KERNEL_STOP_MASK)
        for thread in for_each_thread(task):
            thread.jobctl &= ~(JOBCTL_PENDING_MASK | JOBCTL_STOPPED)
            try_to_wake_up(thread, __TASK_STOPPED)
        why = 0
        signal = signal_of(task)
        if signal.flags & SIGNAL_STOP_STOPPED:
            why = SIGNAL_CLD_CONTINUED
        elif signal.group_stop_count:
            why = SIGNAL_CLD_STOPPED
        if why:
            _set_stop_flags(signal, why | SIGNAL_STOP_CONTINUED)
            signal.group_stop_count = signal.group_exit_code = 0


def _wants_signal(task: task_struct, sig: int) -> bool:
    u32, pa = task.k.u32, task.pa
    if (task.k.u64[(pa >> 3) + _BLOCKED] & 1 << sig - 1
            or u32[(pa >> 2) + _FLAGS] & PF_EXITING):
        return False
    if sig == SIGKILL:
        return True
    if u32[(pa >> 2) + _STATE] & __TASK_STOPPED:
        return False
    return bool(u32[(pa >> 2) + _ON_CPU]) or not signal_pending(task)


def signal_wake_up(task: task_struct, *, fatal: bool = False) -> None:
    """Have ``task`` look at its signals: at once if it sleeps and may be woken by them."""
    task.k.u64[task.pa >> 3] |= TIF_SIGPENDING
    state = TASK_INTERRUPTIBLE
    if fatal:
        task.jobctl &= ~JOBCTL_STOPPED
        state |= TASK_WAKEKILL
    try_to_wake_up(task, state)


def _complete_signal(task: task_struct, sig: int, kind: int) -> None:
    """Choose the thread that takes the signal, and wake it; a fatal one ends the group now."""
    target = task
    if not _wants_signal(task, sig):
        signal = signal_of(task)
        if kind == PIDTYPE_PID or thread_group_empty(task):
            return
        target = start = signal.curr_target or task
        while not _wants_signal(target, sig):
            target = next_thread(target)
            if target == start:
                return
        signal.curr_target = target
    if (sig_handler(task, sig) == SIG_DFL and not 1 << sig - 1 & _NOT_FATAL
            and _ends_group(signal_of(task), target, sig)):
        signal = signal_of(task)
        signal.flags = SIGNAL_GROUP_EXIT
        signal.group_exit_code = sig
        signal.group_stop_count = 0
        for thread in for_each_thread(target):
            thread.jobctl &= ~JOBCTL_PENDING_MASK
            thread.pending.signal |= _SIGKILL
            signal_wake_up(thread, fatal=True)
        return
    signal_wake_up(target, fatal=sig == SIGKILL)


_NOT_FATAL: Final = SIG_KERNEL_IGNORE_MASK | SIG_KERNEL_STOP_MASK | SIG_KERNEL_COREDUMP_MASK


def _ends_group(signal: signal_struct, target: task_struct, sig: int) -> bool:
    """Tell whether a signal without a handler, whose default is to end, ends the group now."""
    if signal.flags & SIGNAL_GROUP_EXIT or target.real_blocked & sigmask(sig):
        return False
    if sig == SIGKILL:
        return True
    # A tracer is told before the end.
    return not signal.flags & SIGNAL_UNKILLABLE and not _is_traced(target)


def send_signal(sig: int, info: bytes, task: task_struct, kind: int, *,
                force: bool = False) -> None:
    """Send a signal; permission has been checked.

    Args:
        info: its siginfo.
        kind: PIDTYPE_PID: to the thread; else to its group.
        force: the kernel insists: even init can be killed.

    Raises:
        SyscallError: EAGAIN: a real-time signal with a value, and RLIMIT_SIGPENDING is reached.
    """
    k, pa = task.k, task.pa
    u64, bit = k.u64, 1 << sig - 1
    signal = u64[(pa >> 3) + _SIGNAL] & PHYSICAL_MASK
    flags = k.u32[(signal >> 2) + _SIGNAL_FLAGS]
    if flags & SIGNAL_GROUP_EXIT:
        return  # it is dying
    if bit & _STOP_OR_CONTINUE:
        _prepare_stop_or_continue(task, sig)
    if _sig_ignored(task, sig, flags, force):
        return
    pending = pa + _PENDING if kind == PIDTYPE_PID else signal + _SHARED_PENDING
    waiting = (pending + _SET) >> 3
    if sig < SIGRTMIN and u64[waiting] & bit:
        return  # standard signals merge
    if sig != SIGKILL and not k.u32[(pa >> 2) + _FLAGS] & PF_KTHREAD:
        code = _CODE.unpack_from(info, 8)[0]
        queued = _queue_signal(task, signal, pending, info,
                               override_rlimit=sig < SIGRTMIN and code >= 0)
        if not queued and sig >= SIGRTMIN and code != SI_USER:
            raise SyscallError(Errno.EAGAIN)
    u64[waiting] |= bit
    _complete_signal(task, sig, kind)


def send_sigqueue(entry: sigqueue, task: task_struct, kind: int) -> bool:
    """Send a signal that a timer keeps ready, and that may wait already.

    Args:
        entry: what is queued; flagged SIGQUEUE_PREALLOC.
        kind: as of :func:`send_signal`.

    Returns:
        False if the signal is ignored.
    """
    sig, signal = entry.info.si_signo, signal_of(task)
    if signal.flags & SIGNAL_GROUP_EXIT:
        return True  # it is dying
    if sigmask(sig) & _STOP_OR_CONTINUE:
        _prepare_stop_or_continue(task, sig)
    if _sig_ignored(task, sig, signal.flags, False):
        return False
    if list_empty(entry.list):
        pending = task.pending if kind == PIDTYPE_PID else signal.shared_pending
        list_add_tail(entry.list, pending.list)
        pending.signal |= sigmask(sig)
        _complete_signal(task, sig, kind)
    return True


def flush_timer_signals(task: task_struct) -> None:
    """Drop the signals of timers that wait for ``task`` or its group: execve(2)."""
    for queue in (task.pending, signal_of(task).shared_pending):
        dropped = left = 0
        for entry in list_for_each_entry(queue.list, sigqueue, "list"):
            bit = sigmask(entry.info.si_signo)
            if entry.flags & SIGQUEUE_PREALLOC:
                dropped |= bit
                _free_sigqueue(entry)
            else:
                left |= bit
        queue.signal &= ~dropped | left
    recalc_sigpending(task)


def send_sig(sig: int, task: task_struct) -> None:
    """Send a signal to a thread in the name of the current task, as write(2) does SIGPIPE."""
    send_signal(sig, user_info(sig, task.k.current()), task, PIDTYPE_PID)


def ignore_signals(task: task_struct) -> None:
    """Ignore every signal, and drop those that wait; a kernel thread's children are not zombies."""
    for sig in range(1, _NSIG + 1):
        task.k.u64[sigaction_pa(task, sig) >> 3] = SIG_IGN
    flush_task_sigqueue(task, (1 << 64) - 1)
    recalc_sigpending(task)


def force_sig_info(task: task_struct, sig: int, info: bytes, *, to_default: bool = False) -> None:
    """Send a signal that cannot be blocked or ignored: an exception's.

    Args:
        to_default: no handler must run either.  See Linux force_sig_info_to_task().
    """
    action = sigaction_pa(task, sig)
    u64 = task.k.u64
    blocked = bool(task.blocked & sigmask(sig))
    if blocked or to_default or u64[action >> 3] == SIG_IGN:
        u64[action >> 3] = SIG_DFL
        task.blocked &= ~sigmask(sig)
    if u64[action >> 3] == SIG_DFL:
        signal_of(task).flags &= ~SIGNAL_UNKILLABLE
    send_signal(sig, info, task, PIDTYPE_PID)
    task.thread_info.flags |= TIF_SIGPENDING


def force_fatal_sig(task: task_struct, sig: int) -> None:
    """End the current task by ``sig``, whatever it has asked for."""
    force_sig_info(task, sig, kernel_info(sig), to_default=True)


# ------------------------------------------------------------------------- whom, and whether


def _same_thread_group(a: task_struct, b: task_struct) -> bool:
    return a.signal == b.signal


def check_kill_permission(current: task_struct, sig: int, task: task_struct, *,
                          from_user: bool = True) -> None:
    """Refuse what kill(2) refuses.

    Raises:
        SyscallError: EINVAL: there is no such signal.  EPERM.
    """
    if not 0 <= sig <= _NSIG:
        raise SyscallError(Errno.EINVAL)
    if not from_user or current.pa == task.pa or _same_thread_group(current, task):
        return
    if {current.euid, current.uid} & {task.uid, task.suid} or current.euid == 0:
        return
    if sig == SIGCONT and same_session(current, task):
        return
    raise SyscallError(Errno.EPERM)


def group_send_sig_info(sig: int, info: bytes, task: task_struct, kind: int) -> None:
    """Send a signal, if the current task may.

    Args:
        sig: 0: only look whether it may.

    Raises:
        SyscallError: EINVAL, EPERM, EAGAIN.
    """
    check_kill_permission(task.k.current(), sig, task)
    if sig and task.sighand is not None:
        send_signal(sig, info, task, kind)


def kill_pgrp_info(sig: int, info: bytes, tasks: Iterator[task_struct]) -> None:
    """Send a signal to each process of a group.

    Raises:
        SyscallError: ESRCH: there is none.  EPERM, EAGAIN: it could be sent to none.
    """
    error = Errno.ESRCH
    success = False
    for task in tasks:
        try:
            group_send_sig_info(sig, info, task, PIDTYPE_PGID)
            success = True
        except SyscallError as failure:
            error = failure.errno
    if not success:
        raise SyscallError(error)


def kill_pgrp(group: pid | None, sig: int) -> None:
    """Send a signal of the kernel's own to each process of a group."""
    for task in do_each_pid_task(group, PIDTYPE_PGID):
        send_signal(sig, kernel_info(sig), task, PIDTYPE_PGID)


def kill_something_info(current: task_struct, sig: int, info: bytes, nr: int) -> None:
    """Send a signal to whom kill(2) means by ``nr``.

    Raises:
        SyscallError: ESRCH, EPERM, EINVAL, EAGAIN.
    """
    k: Kernel = current.k
    if nr > 0:
        task = find_task_by_vpid(k, nr)
        if task is None:
            raise SyscallError(Errno.ESRCH)
        group_send_sig_info(sig, info, task, PIDTYPE_TGID)
    elif nr == -(1 << 31):
        raise SyscallError(Errno.ESRCH)
    elif nr != -1:
        group = find_pid(k, -nr) if nr else task_pgrp(current)
        kill_pgrp_info(sig, info, do_each_pid_task(group, PIDTYPE_PGID))
    else:
        _kill_all(current, sig, info)


def _kill_all(current: task_struct, sig: int, info: bytes) -> None:
    """kill(-1): everyone but init and the caller's own process."""
    error = None
    found = False
    for task in for_each_process(current.k):
        if task.pid <= 1 or _same_thread_group(task, current) or task.flags & PF_KTHREAD:
            continue
        try:
            group_send_sig_info(sig, info, task, PIDTYPE_TGID)
            found = True
        except SyscallError as failure:
            if failure.errno != Errno.EPERM:
                error, found = failure, True
    if not found:
        raise SyscallError(Errno.ESRCH)
    if error is not None:
        raise error


def do_send_specific(current: task_struct, tgid: int, nr: int, sig: int, info: bytes) -> None:
    """Send a signal to one thread.

    Args:
        tgid: the group that it must belong to; 0 or less: any.

    Raises:
        SyscallError: ESRCH, EPERM, EINVAL, EAGAIN.
    """
    task = find_task_by_vpid(current.k, nr)
    if task is None or (tgid > 0 and task.tgid != tgid):
        raise SyscallError(Errno.ESRCH)
    group_send_sig_info(sig, info, task, PIDTYPE_PID)


# ------------------------------------------------------------------------ telling the parent


def do_notify_parent(task: task_struct, sig: int) -> bool:
    """Tell the parent of a task that it has ended.

    Returns:
        True if the parent wants no zombie: it ignores SIGCHLD, or has set SA_NOCLDWAIT.
    """
    k: Kernel = task.k
    u64 = k.u64
    parent = task_struct(k, u64[(task.pa >> 3) + _PARENT] & PHYSICAL_MASK)
    autoreap = False
    wanted = True
    if sig == SIGCHLD:
        action = sigaction_pa(parent, SIGCHLD)
        ignored = u64[action >> 3] == SIG_IGN
        autoreap = ignored or bool(u64[(action + _SIGHAND_FLAGS) >> 3] & SA_NOCLDWAIT)
        wanted = not ignored
    if wanted and 0 < sig <= _NSIG:  # clone(2) takes any number
        code, value = exit_cause(k.i32[(task.pa >> 2) + _EXIT_CODE])
        send_signal(sig, _child_info(task, sig, code, value), parent, PIDTYPE_TGID)
    wake_up_parent(parent)
    return autoreap


def wake_up_parent(parent: task_struct) -> None:
    """Wake the threads of ``parent`` that wait for children.  See Linux __wake_up_parent()."""
    wake_up_pa(parent.k, signal_pa(parent) + _WAIT_CHLDEXIT)


def _do_notify_parent_cldstop(task: task_struct, why: int) -> None:
    """Tell the parent of a process that it has stopped, or goes on."""
    leader = task.group_leader
    assert leader is not None
    parent = leader.real_parent
    assert parent is not None
    status = SIGCONT if why == CLD_CONTINUED else signal_of(task).group_exit_code & 0x7F
    action = sigaction_pa(parent, SIGCHLD)
    if (parent.k.u64[action >> 3] != SIG_IGN
            and not parent.k.u64[(action + _SIGHAND_FLAGS) >> 3] & SA_NOCLDSTOP):
        send_signal(SIGCHLD, _child_info(leader, SIGCHLD, why, status), parent, PIDTYPE_TGID)
    wake_up_parent(parent)


# ---------------------------------------------------------------------- stopping and ending


def _participate_group_stop(task: task_struct) -> bool:
    """Count ``task`` as stopped; tell whether it was the last, so that the group is."""
    signal = signal_of(task)
    consume = task.jobctl & JOBCTL_STOP_CONSUME
    task.jobctl &= ~JOBCTL_PENDING_MASK
    if not consume:
        return False
    if signal.group_stop_count > 0:
        signal.group_stop_count -= 1
    if not signal.group_stop_count and not signal.flags & SIGNAL_STOP_STOPPED:
        _set_stop_flags(signal, SIGNAL_STOP_STOPPED)
        return True
    return False


def _set_stop_pending(task: task_struct, sig: int) -> bool:
    if task.flags & PF_EXITING or task.pending.signal & _SIGKILL:
        return False
    task.jobctl = (task.jobctl & ~JOBCTL_STOP_SIGMASK | sig | JOBCTL_STOP_PENDING
                   | JOBCTL_STOP_CONSUME)
    return True


def _do_signal_stop(current: task_struct, sig: int) -> None:
    """Stop the group, or take part in a stop that another thread has begun.

    Args:
        sig: the signal that asks for it; 0: the stop is under way.

    Raises:
        Sleep: the task has stopped; it comes back to :func:`get_signal`.
    """
    signal = signal_of(current)
    if not current.jobctl & JOBCTL_STOP_PENDING:
        if (not current.jobctl & JOBCTL_STOP_DEQUEUED or signal.flags & SIGNAL_GROUP_EXIT
                or signal.group_exec_task is not None):
            return
        if not signal.flags & SIGNAL_STOP_STOPPED:
            signal.group_exit_code = sig
        signal.group_stop_count = 0
        for thread in for_each_thread(current):
            stopped = task_state(thread) & __TASK_STOPPED
            if not stopped and _set_stop_pending(thread, sig):
                signal.group_stop_count += 1
                if thread != current:
                    signal_wake_up(thread)
    last = _participate_group_stop(current)
    current.jobctl |= JOBCTL_STOPPED
    set_task_state(current, TASK_STOPPED)
    if last:
        _do_notify_parent_cldstop(current, CLD_STOPPED)
    current.thread_info.flags |= TIF_SIGPENDING  # so that it looks again when it goes on
    raise Sleep


def zap_other_threads(task: task_struct) -> int:
    """Kill all threads of the group but ``task``; return how many there are."""
    signal_of(task).group_stop_count = 0
    count = 0
    for thread in for_each_thread(task):
        if thread == task:
            continue
        thread.jobctl &= ~JOBCTL_PENDING_MASK
        count += 1
        if not thread.exit_state:
            thread.pending.signal |= _SIGKILL
            signal_wake_up(thread, fatal=True)
    return count


def exit_signals(task: task_struct) -> None:
    """Set PF_EXITING: from now on the group's signals are for other threads."""
    u32 = task.k.u32
    u32[(task.pa >> 2) + _FLAGS] |= PF_EXITING
    if thread_group_empty(task) or u32[(signal_pa(task) >> 2) + _SIGNAL_FLAGS] & SIGNAL_GROUP_EXIT:
        return
    if signal_pending(task):
        _retarget_shared_pending(task, ~task.blocked)
    if task.jobctl & JOBCTL_STOP_PENDING and _participate_group_stop(task):
        _do_notify_parent_cldstop(task, CLD_STOPPED)


def is_current_pgrp_orphaned(current: task_struct) -> bool:
    """Tell whether nobody in the session could continue the caller's process group."""
    return will_become_orphaned_pgrp(current, None)


def will_become_orphaned_pgrp(task: task_struct, ignored: task_struct | None) -> bool:
    """Tell whether the group of ``task`` is orphaned, ``ignored`` being left out of account.

    It is if no member has a parent in another group of the same session.  See POSIX, "Orphaned
    Process Group"; Linux kernel/exit.c.
    """
    group, session = task_pgrp(task), task_session(task)
    for member in do_each_pid_task(group, PIDTYPE_PGID):
        parent = member.real_parent
        assert parent is not None
        if (member == ignored or (member.exit_state and thread_group_empty(member))
                or parent.pid == 1):
            continue
        if task_pgrp(parent) != group and task_session(parent) == session:
            return False
    return True


def has_stopped_jobs(task: task_struct) -> bool:
    """Tell whether a process of the group of ``task`` is stopped."""
    return any(signal_of(member).flags & SIGNAL_STOP_STOPPED
               for member in do_each_pid_task(task_pgrp(task), PIDTYPE_PGID))


# --------------------------------------------------------------------------------- delivery


class ksignal(NamedTuple):
    """A signal that a handler is to run for.

    Attributes:
        info: its siginfo.
        handler, flags, restorer, mask: the action, as it was when the signal was taken.
    """

    sig: int
    info: bytes
    handler: int
    flags: int
    restorer: int
    mask: int


class Fatal(Exception):
    """The task ends by a signal: the caller calls do_group_exit().

    Attributes:
        info: the siginfo if a core is to be dumped first, else None.
    """

    def __init__(self, sig: int, info: bytes | None = None) -> None:
        super().__init__(sig)
        self.sig = sig
        self.info = info


def _next_signal(waiting: int) -> int:
    if waiting & SYNCHRONOUS_MASK:
        waiting &= SYNCHRONOUS_MASK
    return (waiting & -waiting).bit_length()


def _collect_signal(k: Kernel, task: int, pending: int, sig: int) -> bytes | None:
    """Take a signal out of the set at ``pending``; return its siginfo.

    ``task``, which takes it, keeps its queue entry for the next signal that it sends.

    Returns:
        None: it was a timer's, and is out of date.
    """
    u64, u32 = k.u64, k.u32
    first = 0
    node = u64[pending >> 3] & PHYSICAL_MASK
    while node != pending:
        if u32[(node + _QUEUE_SIGNO) >> 2] == sig:
            if first:
                break  # another one stays
            first = node
        node = u64[node >> 3] & PHYSICAL_MASK
    else:
        u64[(pending + _SET) >> 3] &= ~(1 << sig - 1)
    if not first:
        return _KILL.pack(sig, 0, SI_USER, 0, 0)  # nothing was known, or there was no room for it
    if u32[(first + _QUEUE_FLAGS) >> 2] & SIGQUEUE_PREALLOC:
        entry = sigqueue(k, first)
        list_del_init(entry.list)
        return posixtimer_deliver_signal(entry)
    info = bytes(k.u8[first + _INFO : first + _INFO + INFO_SIZE])
    _unlink_sigqueue(k, first)
    cache = (task >> 3) + _SIGQUEUE_CACHE
    if u64[cache]:
        kmem_cache_free(k, first)
    else:
        u64[cache] = PAGE_OFFSET + first
    return info


def dequeue_signal(task: task_struct, blocked: int) -> tuple[int, bytes]:
    """Take the next signal that is not in ``blocked``, the thread's own before the group's.

    Returns:
        It and its siginfo; 0 if there is none.
    """
    k, pa = task.k, task.pa
    u64 = k.u64
    pending = pa + _PENDING
    waiting = u64[(pending + _SET) >> 3] & ~blocked
    if not waiting:
        pending = (u64[(pa >> 3) + _SIGNAL] & PHYSICAL_MASK) + _SHARED_PENDING
        waiting = u64[(pending + _SET) >> 3] & ~blocked
    sig, info = 0, b""
    if waiting:
        sig = _next_signal(waiting)
        found = _collect_signal(k, pa, pending, sig)
        if found is None:
            return dequeue_signal(task, blocked)
        info = found
        if 1 << sig - 1 & SIG_KERNEL_STOP_MASK:
            task.jobctl |= JOBCTL_STOP_DEQUEUED
        if sig == SIGALRM:
            itimer_rearm(signal_of(task))
    recalc_sigpending(task)
    return sig, info


def get_signal(current: task_struct,
               report: Callable[[task_struct, bytes], None] | None) -> ksignal | None:
    """Take signals until one needs a handler, or none is left.

    Args:
        report: told of each signal that is taken, with its siginfo.

    Returns:
        The signal that a handler is to run for, or None.

    Raises:
        Sleep: the task has stopped; call again when it goes on.
        Fatal: it ends.
    """
    k: Kernel = current.k
    u64, pa = k.u64, current.pa
    signal = signal_of(current)
    while True:
        flags = signal.flags
        if flags & SIGNAL_CLD_MASK:
            why = CLD_CONTINUED if signal.flags & SIGNAL_CLD_CONTINUED else CLD_STOPPED
            signal.flags &= ~SIGNAL_CLD_MASK
            _do_notify_parent_cldstop(current, why)
            continue
        execs = u64[(signal.pa >> 3) + _GROUP_EXEC_TASK]
        if flags & SIGNAL_GROUP_EXIT or (execs and execs & PHYSICAL_MASK != pa):
            current.pending.signal &= ~_SIGKILL
            recalc_sigpending(current)
            raise Fatal(SIGKILL)
        if u64[(pa >> 3) + _JOBCTL] & JOBCTL_STOP_PENDING:
            _do_signal_stop(current, 0)
        sig, info = dequeue_signal(current, u64[(pa >> 3) + _BLOCKED])
        if not sig:
            return None
        if report is not None:
            report(current, info)
        place = sigaction_pa(current, sig) >> 3
        handler, flags, restorer, mask = u64[place : place + 4].tolist()
        if handler == SIG_IGN:
            continue
        if handler != SIG_DFL:
            if flags & SA_RESETHAND:
                u64[place] = SIG_DFL
            return ksignal(sig, info, handler, flags, restorer, mask)
        bit = sigmask(sig)
        if bit & SIG_KERNEL_IGNORE_MASK or (
                signal.flags & SIGNAL_UNKILLABLE and not bit & SIG_KERNEL_ONLY_MASK):
            continue
        if bit & SIG_KERNEL_STOP_MASK:
            if sig == SIGSTOP or not is_current_pgrp_orphaned(current):
                _do_signal_stop(current, sig)
            continue
        current.flags |= PF_SIGNALED
        raise Fatal(sig, info if bit & SIG_KERNEL_COREDUMP_MASK else None)


# System calls


@SYSCALL_DEFINE
def sys_kill(current: task_struct, pid: Int, sig: Int) -> int:
    """Send a signal to a process, or to many.  See kill(2)."""
    kill_something_info(current, sig, user_info(sig, current), pid)
    return 0


@SYSCALL_DEFINE
def sys_ft_kill(current: task_struct, pid: Long, sig: Int) -> int:
    """Send a signal to one process.

    One of this project's own calls.  A number that is no process is ESRCH: the original took it for
    a task and read through its null pointer.

    See: docs/processes.md, "The project's own calls".
    """
    if pid <= 0:
        raise SyscallError(Errno.ESRCH)
    kill_something_info(current, sig, user_info(sig, current), min(pid, (1 << 31) - 1))
    return 0


@SYSCALL_DEFINE
def sys_tkill(current: task_struct, pid: Int, sig: Int) -> int:
    """Send a signal to a thread.  See tkill(2)."""
    if pid <= 0:
        raise SyscallError(Errno.EINVAL)
    do_send_specific(current, 0, pid, sig, user_info(sig, current, SI_TKILL))
    return 0


@SYSCALL_DEFINE
def sys_tgkill(current: task_struct, tgid: Int, pid: Int, sig: Int) -> int:
    """Send a signal to a thread of a given process.  See tgkill(2)."""
    if pid <= 0 or tgid <= 0:
        raise SyscallError(Errno.EINVAL)
    do_send_specific(current, tgid, pid, sig, user_info(sig, current, SI_TKILL))
    return 0


def _known_siginfo_layout(sig: int, code: int) -> bool:
    """Tell whether the kernel knows what is in a siginfo.  See Linux known_siginfo_layout()."""
    if code == SI_KERNEL:
        return True
    if code > SI_USER:
        return code <= NSIG_CODES.get(sig, NSIGPOLL)
    return code >= SI_DETHREAD or code == SI_ASYNCNL


def _copy_siginfo_from_user(current: task_struct, va: int, sig: int) -> bytes:
    """Return the siginfo that a program has made up, with ``sig`` put in.

    Raises:
        SyscallError: EFAULT.  E2BIG: it is of a kind that is not known, and does not end with
            zeros.
    """
    info = copy_from_user(current.k, va, SIGINFO_SIZE)
    if (not _known_siginfo_layout(sig, _CODE.unpack_from(info, 8)[0])
            and any(info[INFO_SIZE:])):
        raise SyscallError(Errno.E2BIG)
    return _CODE.pack(sig) + info[4:INFO_SIZE]


def _check_siginfo(current: task_struct, info: bytes, nr: int) -> None:
    """Refuse a siginfo that claims to be the kernel's or kill(2)'s, but from a thread to itself.

    Raises:
        SyscallError: EPERM.
    """
    code = _CODE.unpack_from(info, 8)[0]
    if (code >= 0 or code == SI_TKILL) and nr != current.pid:
        raise SyscallError(Errno.EPERM)


@SYSCALL_DEFINE
def sys_rt_sigqueueinfo(current: task_struct, pid: Int, sig: Int, uinfo: UserPtr) -> int:
    """Send a signal with data to a process.  See rt_sigqueueinfo(2)."""
    info = _copy_siginfo_from_user(current, uinfo, sig)
    _check_siginfo(current, info, pid)
    task = find_task_by_vpid(current.k, pid)
    if task is None:
        raise SyscallError(Errno.ESRCH)
    group_send_sig_info(sig, info, task, PIDTYPE_TGID)
    return 0


@SYSCALL_DEFINE
def sys_rt_tgsigqueueinfo(current: task_struct, tgid: Int, pid: Int, sig: Int,
                          uinfo: UserPtr) -> int:
    """Send a signal with data to a thread.  See rt_tgsigqueueinfo(2)."""
    info = _copy_siginfo_from_user(current, uinfo, sig)
    if pid <= 0 or tgid <= 0:
        raise SyscallError(Errno.EINVAL)
    _check_siginfo(current, info, pid)
    do_send_specific(current, tgid, pid, sig, info)
    return 0


@SYSCALL_DEFINE
def sys_rt_sigpending(current: task_struct, uset: UserPtr, sigsetsize: ULong) -> int:
    """Return the signals that are blocked and wait.  See sigpending(2)."""
    if sigsetsize > SIGSET_SIZE:
        raise SyscallError(Errno.EINVAL)
    waiting = (current.pending.signal | signal_of(current).shared_pending.signal) & current.blocked
    copy_to_user(current.k, uset, waiting.to_bytes(SIGSET_SIZE, "little")[:sigsetsize])
    return 0
