"""Death of a task, and waiting for it: the two ends of one zombie.

``do_exit`` gives back what the task has, in Linux's order, and leaves a zombie: the task_struct
with its exit code, for the parent.  ``do_wait`` finds it, and ``release_task`` frees what is left.
A thread that is not the leader of its group has nobody who waits, and is released at once; a leader
becomes a zombie for its parent when it is the last of its group.

See: Linux kernel/exit.c; exit_group(2), wait(2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from guest_kernel.drivers.tty.ctty import disassociate_ctty, set_old_pgrp, set_signal_tty
from guest_kernel.errors import BUG, BUG_ON, Errno, KernelPanic, Sleep, SyscallError
from guest_kernel.fs.file import exit_files
from guest_kernel.fs.fs_struct import exit_fs
from guest_kernel.fs.proc import proc_flush_pid
from guest_kernel.ipc.sem import exit_sem
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK, Struct
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.layout.sched import (
    EXIT_DEAD,
    EXIT_ZOMBIE,
    PF_EXITING,
    SIGNAL_GROUP_EXIT,
    SIGNAL_STOP_CONTINUED,
    SIGNAL_STOP_STOPPED,
    TASK_DEAD,
    TASK_NORMAL,
    completion,
    pcpu_hot,
    pid,
    sched_data,
    signal_struct,
    task_struct,
    wait_queue_head,
)
from guest_kernel.lib.list import (
    list_add_tail,
    list_del_init,
    list_del_init_va,
    list_for_each_entry,
)
from guest_kernel.mm.memory import get_mm_rss
from guest_kernel.mm.mm import mmdrop, mmgrab, mmput
from guest_kernel.mm.uaccess import copy_to_user, put_user_u32
from guest_kernel.process.fork import (
    put_sighand,
    put_task_struct,
    release_task_stack,
)
from guest_kernel.process.futex import FUTEX_BITSET_MATCH_ANY, exit_robust_list, futex_wake
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    detach_pid,
    detach_process,
    find_pid,
    pid_task,
    task_pgrp,
)
from guest_kernel.process.resource import RUSAGE_BOTH, getrusage
from guest_kernel.process.tasks import (
    for_each_thread,
    next_thread,
    thread_group_empty,
)
from guest_kernel.process.user import put_process_slot
from guest_kernel.sched.core import set_task_state, try_to_wake_up
from guest_kernel.sched.wait import complete, sleep_on
from guest_kernel.signal.numbers import (
    CLD_CONTINUED,
    CLD_STOPPED,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
)
from guest_kernel.signal.signal import (
    do_notify_parent,
    exit_cause,
    exit_signals,
    exit_sigqueue_cache,
    flush_sigqueue,
    has_stopped_jobs,
    kill_pgrp,
    send_signal,
    signal_of,
    signal_pa,
    user_info,
    will_become_orphaned_pgrp,
    zap_other_threads,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.posix_timers import exit_timers

# ---- options of wait4(2) and waitid(2)
WNOHANG: Final = 0x0000_0001
WUNTRACED: Final = 0x0000_0002
WSTOPPED: Final = WUNTRACED
WEXITED: Final = 0x0000_0004
WCONTINUED: Final = 0x0000_0008
WNOWAIT: Final = 0x0100_0000  # leave it to be waited for again
__WNOTHREAD: Final = 0x2000_0000  # not children of other threads
__WALL: Final = 0x4000_0000
__WCLONE: Final = 0x8000_0000  # only children whose signal is not SIGCHLD
_KIND: Final = __WNOTHREAD | __WALL | __WCLONE

P_ALL: Final = 0
P_PID: Final = 1
P_PGID: Final = 2
P_PIDFD: Final = 3

_SIGINFO: Final = struct.Struct("<iii")  # signo errno code
_SIGINFO_CHILD: Final = struct.Struct("<iIi")  # pid uid status; behind four bytes of padding
_ANY: Final = -1

# Indices in u64.
_MM: Final = task_struct.offsetof("mm") >> 3
_ACTIVE_MM: Final = task_struct.offsetof("active_mm") >> 3
_REAL_PARENT: Final = task_struct.offsetof("real_parent") >> 3
_GROUP_LEADER: Final = task_struct.offsetof("group_leader") >> 3
_THREAD_PID: Final = task_struct.offsetof("thread_pid") >> 3
_VFORK_DONE: Final = task_struct.offsetof("vfork_done") >> 3
_ROBUST_LIST: Final = task_struct.offsetof("robust_list") >> 3
_CLEAR_CHILD_TID: Final = task_struct.offsetof("clear_child_tid") >> 3
_SIGNAL: Final = task_struct.offsetof("signal") >> 3
_SIGHAND: Final = task_struct.offsetof("sighand") >> 3
_PENDING: Final = task_struct.offsetof("pending.signal") >> 3
_SIGQUEUE_CACHE: Final = task_struct.offsetof("sigqueue_cache") >> 3
_SHARED_PENDING: Final = signal_struct.offsetof("shared_pending.signal") >> 3
_TTY: Final = signal_struct.offsetof("tty") >> 3
_LEADER: Final = signal_struct.offsetof("leader") >> 2
_TTY_OLD_PGRP: Final = signal_struct.offsetof("tty_old_pgrp") >> 3
_PGRP: Final = (signal_struct.offsetof("pids") >> 3) + PIDTYPE_PGID
_SESSION: Final = (signal_struct.offsetof("pids") >> 3) + PIDTYPE_SID
_GROUP_EXEC_TASK: Final = signal_struct.offsetof("group_exec_task") >> 3
_CURR_TARGET: Final = signal_struct.offsetof("curr_target") >> 3
_MAXRSS: Final = signal_struct.offsetof("maxrss") >> 3
_CMAXRSS: Final = signal_struct.offsetof("cmaxrss") >> 3
_INODES: Final = pid.offsetof("inodes") >> 3
# Indices in u32 and i32.
_PID: Final = task_struct.offsetof("pid") >> 2
_TGID: Final = task_struct.offsetof("tgid") >> 2
_UID: Final = task_struct.offsetof("uid") >> 2
_EXIT_STATE: Final = task_struct.offsetof("exit_state") >> 2
_EXIT_CODE: Final = task_struct.offsetof("exit_code") >> 2
_EXIT_SIGNAL: Final = task_struct.offsetof("exit_signal") >> 2
_LIVE: Final = signal_struct.offsetof("live") >> 2
_SIGNAL_THREADS: Final = signal_struct.offsetof("nr_threads") >> 2
_SIGNAL_FLAGS: Final = signal_struct.offsetof("flags") >> 2
_GROUP_EXIT_CODE: Final = signal_struct.offsetof("group_exit_code") >> 2
_GROUP_STOP_COUNT: Final = signal_struct.offsetof("group_stop_count") >> 2
_HAS_TIMERS: Final = signal_struct.offsetof("has_timers") >> 2
_NOTIFY_COUNT: Final = signal_struct.offsetof("notify_count") >> 2
_NR_THREADS: Final = sched_data.offsetof("nr_threads") >> 2
# Nodes and heads, in bytes.
_TASKS: Final = task_struct.offsetof("tasks")
_WAIT_CHLDEXIT: Final = signal_struct.offsetof("wait_chldexit")
_CHILDREN: Final = task_struct.offsetof("children")
_SIBLING: Final = task_struct.offsetof("sibling")
_THREAD_NODE: Final = task_struct.offsetof("thread_node")

# exit_state: which may follow which.
_TRANSITIONS: Final = {0: {EXIT_ZOMBIE, EXIT_DEAD}, EXIT_ZOMBIE: {EXIT_DEAD}}


def set_exit_state(task: task_struct, state: int) -> None:
    """Change ``exit_state``.

    Raises:
        KernelPanic: the change makes no sense from the present state.
    """
    i32, place = task.k.i32, (task.pa >> 2) + _EXIT_STATE
    if state not in _TRANSITIONS.get(i32[place], ()):
        BUG(f"task {task.pid}: exit_state {task.exit_state:#x} cannot become {state:#x}")
    i32[place] = state


# ------------------------------------------------------------------------------------ death


def do_exit(task: task_struct, code: int) -> NoReturn:
    """End the current task, a thread.

    Args:
        code: wait status: exit status << 8, or the signal that killed it.

    Raises:
        Sleep: always; it never runs again.
        KernelPanic: the task is the last of init.
    """
    k: Kernel = task.k
    signal = signal_pa(task)
    synchronize_group_exit(k, signal, code)
    exit_signals(task)
    u32, own, live = k.u32, task.pa >> 2, (signal >> 2) + _LIVE
    u32[live] = left = u32[live] - 1
    if not left and u32[own + _TGID] == 1:
        code = k.i32[(signal >> 2) + _GROUP_EXIT_CODE] or code
        raise KernelPanic(f"Attempted to kill init! exitcode={code:#010x}")
    if u32[(signal >> 2) + _HAS_TIMERS]:
        exit_timers(task, group_dead=not left)
    k.i32[own + _EXIT_CODE] = code
    exit_mm(task, signal)
    exit_sem(task)
    exit_files(task)
    exit_fs(task)
    if not left and u32[(signal >> 2) + _LEADER]:
        disassociate_ctty(task)
    exit_notify(task, signal, group_dead=not left)
    set_task_state(task, TASK_DEAD)
    raise Sleep


def synchronize_group_exit(k: Kernel, signal: int, code: int) -> None:
    """Let the last thread of a group say how the group has ended.

    Args:
        signal: physical address of the group's signal_struct.
    """
    u32, s = k.u32, signal >> 2
    if u32[s + _LIVE] == 1 and not u32[s + _SIGNAL_FLAGS] & SIGNAL_GROUP_EXIT:
        u32[s + _SIGNAL_FLAGS] = SIGNAL_GROUP_EXIT
        k.i32[s + _GROUP_EXIT_CODE] = code
        k.i32[s + _GROUP_STOP_COUNT] = 0


def do_group_exit(task: task_struct, code: int) -> NoReturn:
    """End the current task and all threads of its group.

    Args:
        code: wait status, unless another thread has set the group's already.
    """
    k: Kernel = task.k
    u32, i32, signal = k.u32, k.i32, signal_pa(task)
    s = signal >> 2
    if u32[s + _SIGNAL_FLAGS] & SIGNAL_GROUP_EXIT:
        code = i32[s + _GROUP_EXIT_CODE]
    elif k.u64[(signal >> 3) + _GROUP_EXEC_TASK]:
        code = 0
    else:
        i32[s + _GROUP_EXIT_CODE] = code
        u32[s + _SIGNAL_FLAGS] = SIGNAL_GROUP_EXIT
        if not thread_group_empty(task):
            zap_other_threads(task)
    do_exit(task, code)


def exit_mm(task: task_struct, signal: int) -> None:
    """Give up the address space; its page table stays until another one is loaded.

    Args:
        signal: physical address of the group's signal_struct.
    """
    mm_release(task)
    k: Kernel = task.k
    u64, w = k.u64, task.pa >> 3
    va = u64[w + _MM]
    if not va:
        return
    mm = mm_struct(k, va & PHYSICAL_MASK)
    setmax_mm_hiwater_rss(signal, mm)
    mmgrab(mm)
    u64[w + _ACTIVE_MM] = va
    u64[w + _MM] = 0
    mmput(mm)


def setmax_mm_hiwater_rss(signal: int, mm: mm_struct) -> None:
    """Note in the signal_struct at physical address ``signal`` how large ``mm`` has been."""
    u64, place = mm.k.u64, (signal >> 3) + _MAXRSS
    u64[place] = max(u64[place], mm.hiwater_rss, get_mm_rss(mm))


def mm_release(task: task_struct) -> None:
    """Do what the task has promised for when it leaves its address space.

    Give up robust futexes; clear ``clear_child_tid`` and wake who waits for that, if somebody is
    left to see it; and let a vfork parent go on, or whoever waits for a kernel thread to end.
    """
    k: Kernel = task.k
    u64, w = k.u64, task.pa >> 3
    if u64[w + _ROBUST_LIST]:
        exit_robust_list(task)
    tid, done = u64[w + _CLEAR_CHILD_TID], u64[w + _VFORK_DONE]
    if tid:
        if task.mm is not None and task.mm.mm_users > 1:
            with suppress(SyscallError):  # as Linux: nobody waits at a bad address
                put_user_u32(k, tid, 0)
                futex_wake(task, tid, 1, FUTEX_BITSET_MATCH_ANY, private=False)
        u64[w + _CLEAR_CHILD_TID] = 0
    if done:
        u64[w + _VFORK_DONE] = 0
        complete(completion(k, done & PHYSICAL_MASK))


def exit_notify(task: task_struct, signal: int, *, group_dead: bool) -> None:
    """Find new parents for the children, then tell the parent.

    Args:
        signal: physical address of the group's signal_struct.
        group_dead: the task is the last of its group to exit.
    """
    k: Kernel = task.k
    dead = forget_original_parent(task)
    if group_dead:
        leader = k.u64[(task.pa >> 3) + _GROUP_LEADER] & PHYSICAL_MASK
        kill_orphaned_pgrp(task_struct(k, leader), None)
    set_exit_state(task, EXIT_ZOMBIE)
    exit_signal = k.i32[(task.pa >> 2) + _EXIT_SIGNAL]
    if exit_signal < 0 or (thread_group_empty(task) and do_notify_parent(task, exit_signal)):
        set_exit_state(task, EXIT_DEAD)
        dead.append(task)
    if k.i32[(signal >> 2) + _NOTIFY_COUNT] < 0:
        _wake_group_exec_task(k, signal)  # execve() waits for the leader
    for zombie in dead:
        release_task(zombie)


def _wake_group_exec_task(k: Kernel, signal: int) -> None:
    va = k.u64[(signal >> 3) + _GROUP_EXEC_TASK]
    if va:
        try_to_wake_up(task_struct(k, va & PHYSICAL_MASK), TASK_NORMAL)


def forget_original_parent(father: task_struct) -> list[task_struct]:
    """Give the children of a task that dies to another parent.

    Returns:
        Those that the new parent wants no zombie of, to be released.
    """
    dead: list[task_struct] = []
    head = father.pa + _CHILDREN
    if father.k.u64[head >> 3] & PHYSICAL_MASK == head:
        return dead
    reaper = find_new_reaper(father)
    for child in list_for_each_entry(father.children, task_struct, "sibling"):
        for thread in for_each_thread(child):
            thread.real_parent = thread.parent = reaper
            if thread.pdeath_signal:
                send_signal(thread.pdeath_signal, user_info(thread.pdeath_signal, father), thread,
                            PIDTYPE_TGID)
        if reaper.signal != father.signal:
            _reparent_leader(father, child, dead)
        list_del_init(child.sibling)
        list_add_tail(child.sibling, reaper.children)
    return dead


def find_new_reaper(father: task_struct) -> task_struct:
    """Return who is to be the parent of the children of a task that dies.

    Another thread of its group, else the nearest ancestor that has asked for it by
    PR_SET_CHILD_SUBREAPER, else init.
    """
    thread = _find_alive_thread(father)
    if thread is not None:
        return thread
    if signal_of(father).has_child_subreaper:
        ancestor = father.real_parent
        while ancestor is not None and ancestor.pid:
            if signal_of(ancestor).is_child_subreaper:
                thread = _find_alive_thread(ancestor)
                if thread is not None:
                    return thread
            ancestor = ancestor.real_parent
    init: task_struct | None = father.k.data(sched_data).init_pid_ns.child_reaper
    if init is None:
        BUG("there is no init")
    return init


def _find_alive_thread(task: task_struct) -> task_struct | None:
    return next((t for t in for_each_thread(task) if not t.flags & PF_EXITING), None)


def _reparent_leader(father: task_struct, child: task_struct, dead: list[task_struct]) -> None:
    """A child has got a parent in another process."""
    if child.exit_state == EXIT_DEAD:
        return
    child.exit_signal = SIGCHLD
    if (child.exit_state == EXIT_ZOMBIE and thread_group_empty(child)
            and do_notify_parent(child, child.exit_signal)):
        set_exit_state(child, EXIT_DEAD)
        dead.append(child)
    kill_orphaned_pgrp(child, father)


def kill_orphaned_pgrp(task: task_struct, parent: task_struct | None) -> None:
    """Wake the stopped jobs of a group that loses the last process which could: POSIX 3.2.2.2.

    Args:
        parent: the parent that dies; None: ``task`` itself dies.
    """
    k: Kernel = task.k
    u64, w = k.u64, task.pa >> 3
    ignored = None if parent is not None else task
    above = parent.pa if parent is not None else u64[w + _REAL_PARENT] & PHYSICAL_MASK
    mine = (u64[w + _SIGNAL] & PHYSICAL_MASK) >> 3
    theirs = (u64[(above >> 3) + _SIGNAL] & PHYSICAL_MASK) >> 3
    if (u64[theirs + _PGRP] != u64[mine + _PGRP] and u64[theirs + _SESSION] == u64[mine + _SESSION]
            and will_become_orphaned_pgrp(task, ignored) and has_stopped_jobs(task)):
        for sig in (SIGHUP, SIGCONT):
            kill_pgrp(task_pgrp(task), sig)


def finish_task_switch(k: Kernel) -> None:
    """Free what a dead task needed until the CPU had left its stack."""
    pcpu = k.data(pcpu_hot)
    dead = pcpu.prev_dead
    if dead is None:
        return
    pcpu.prev_dead = None
    active = dead.active_mm
    if active is not None and active != k.data(vm_data).init_mm:
        mmdrop(active)
    release_task_stack(dead)
    put_task_struct(dead)


def release_task(task: task_struct) -> None:
    """Free a task in state EXIT_DEAD: nothing of it can be found any more.

    With the last thread of a group its leader, if it has ended before, becomes a zombie to be
    waited for, or is released, too.
    """
    k: Kernel = task.k
    while True:
        leader = k.u64[(task.pa >> 3) + _GROUP_LEADER] & PHYSICAL_MASK
        _exit_signal(task)
        zap_leader = leader != task.pa and _zap_leader(task_struct(k, leader))
        put_task_struct(task)
        if not zap_leader:
            return
        task = task_struct(k, leader)
        set_exit_state(task, EXIT_DEAD)


def _zap_leader(leader: task_struct) -> bool:
    """Another thread has gone: tell the parent of the leader if it waits for no more of them.

    Returns:
        True if nobody waits for the leader.
    """
    if leader.exit_state != EXIT_ZOMBIE or not thread_group_empty(leader):
        return False
    signal = signal_of(leader)
    if signal.flags & SIGNAL_GROUP_EXIT:
        leader.exit_code = signal.group_exit_code  # SIGCHLD tells how the group has ended
    return do_notify_parent(leader, leader.exit_signal)


def _exit_signal(task: task_struct) -> None:
    """Take a task out of its group and off all lists; its times stay with the group."""
    k: Kernel = task.k
    u8, i32, u64, w = k.u8, k.i32, k.u64, task.pa >> 3
    signal = signal_pa(task)
    group_dead = i32[(task.pa >> 2) + _EXIT_SIGNAL] >= 0  # the leader, which is the last
    if not group_dead:
        _leave_group(task, signal)
    times = signal + _TIMES
    u8[times : times + _TIMES_SIZE] = (
        _times(u8, times) + _times(u8, task.pa + _THREAD_TIMES)).to_bytes(_TIMES_SIZE, "little")
    i32[(signal >> 2) + _SIGNAL_THREADS] -= 1
    number = u64[w + _THREAD_PID] & PHYSICAL_MASK
    if u64[(number >> 3) + _INODES]:
        proc_flush_pid(pid(k, number))
    va = task.va
    if group_dead:
        detach_process(task)
        list_del_init_va(u64, va + _TASKS)
        list_del_init_va(u64, va + _SIBLING)
    else:
        detach_pid(task, PIDTYPE_PID)
    list_del_init_va(u64, va + _THREAD_NODE)
    i32[(k.sched >> 2) + _NR_THREADS] -= 1
    put_process_slot(task)
    if u64[w + _PENDING]:
        flush_sigqueue(task.pending)
    if u64[w + _SIGQUEUE_CACHE]:
        exit_sigqueue_cache(task)
    put_sighand(k, u64[w + _SIGHAND] & PHYSICAL_MASK)
    u64[w + _SIGHAND] = 0
    if group_dead:
        s = signal >> 3
        if u64[s + _SHARED_PENDING] or u64[s + _TTY] or u64[s + _TTY_OLD_PGRP]:
            _put_group(signal_struct(k, signal))


def _put_group(signal: signal_struct) -> None:
    """Give up what the last thread of a group leaves."""
    flush_sigqueue(signal.shared_pending)
    set_signal_tty(signal, None)
    set_old_pgrp(signal, None)


def _leave_group(task: task_struct, signal: int) -> None:
    """Tell those of the group who look at ``task`` that it goes: execve(), the signal code."""
    k: Kernel = task.k
    notify = (signal >> 2) + _NOTIFY_COUNT
    if k.i32[notify] > 0:
        k.i32[notify] -= 1
        if not k.i32[notify]:
            _wake_group_exec_task(k, signal)
    target = (signal >> 3) + _CURR_TARGET
    if k.u64[target] & PHYSICAL_MASK == task.pa:
        k.u64[target] = next_thread(task).va


# What a thread has used is its group's when it has ended, and what a group has used its parent's
# when it was waited for.  Each keeps the counters in this order.
_COUNTERS: Final = ("utime", "stime", "nvcsw", "nivcsw", "min_flt", "maj_flt")
_TIMES_SIZE: Final = 8 * len(_COUNTERS)


def _counters(kind: type[Struct], prefix: str = "") -> int:
    """Return where the first of the counters lies in ``kind``."""
    places = [kind.offsetof(prefix + name) for name in _COUNTERS]
    BUG_ON(places != list(range(places[0], places[0] + _TIMES_SIZE, 8)),
           f"{kind.__name__}: {prefix or 'the'} counters are not in a row")
    return places[0]


_THREAD_TIMES: Final = _counters(task_struct)
_TIMES: Final = _counters(signal_struct)
_CHILDREN_TIMES: Final = _counters(signal_struct, "c")


def _times(u8: memoryview, pa: int) -> int:
    """Return the counters at ``pa`` as one number, to be added to others: none will overflow."""
    return int.from_bytes(u8[pa : pa + _TIMES_SIZE], "little")


# ---------------------------------------------------------------------------------- waiting


class wait_opts(NamedTuple):
    """Whom a parent waits for, and how.  See Linux struct wait_opts.

    Attributes:
        kind: PIDTYPE_* by which ``number`` is meant; _ANY: every child.
        number: the struct pid; None: nobody has it, or every child is meant.
        flags: W*.
        rusage: the caller wants to know what the child has used.
    """

    kind: int
    number: pid | None
    flags: int
    rusage: bool = False


class Waited(NamedTuple):
    """What a wait has found.

    Attributes:
        nr: the child's number; 0: no child has changed, and WNOHANG was asked for.
        status: the wait status.
        cause: CLD_*; ``si_status`` goes with it.
        uid: the child's real user ID.
        rusage: a ``struct rusage``, if it was asked for.
    """

    nr: int
    status: int = 0
    cause: int = 0
    si_status: int = 0
    uid: int = 0
    rusage: bytes = b""


# The last statement never returns, which the linter cannot see.
def do_wait(parent: task_struct, wo: wait_opts) -> Waited:  # noqa: RET503
    """Return a child that has changed its state, sleeping until there is one.

    Raises:
        SyscallError: ECHILD: there is no child to wait for.  ERESTARTSYS: a signal has come.
        Sleep: none has changed yet.
    """
    k: Kernel = parent.k
    i32, flags = k.i32, wo.flags
    possible = False
    for child in _children(parent, wo):
        state = i32[(child.pa >> 2) + _EXIT_STATE]
        if state == EXIT_DEAD or not _eligible_child(flags, child):
            continue
        if state == EXIT_ZOMBIE and thread_group_empty(child):
            if flags & WEXITED:
                return _wait_task_zombie(parent, wo, child)
            continue
        possible = True
        if flags & (WUNTRACED | WCONTINUED):
            waited = _wait_task_stopped(wo, child) or _wait_task_continued(wo, child)
            if waited is not None:
                return waited
    if not possible:
        raise SyscallError(Errno.ECHILD)
    if flags & WNOHANG:
        return Waited(0)
    sleep_on(parent, wait_queue_head(k, signal_pa(parent) + _WAIT_CHLDEXIT))


def _children(parent: task_struct, wo: wait_opts) -> Iterable[task_struct]:
    """Return the children that ``wo`` means by kind and number.  See do_wait_pid() in Linux."""
    if wo.kind != PIDTYPE_PID:
        return _each_child(parent, wo)
    child = pid_task(wo.number, PIDTYPE_TGID)
    return () if child is None or not _is_child(parent, wo, child) else (child,)


def _is_child(parent: task_struct, wo: wait_opts, child: task_struct) -> bool:
    """Tell whether ``child`` is one of ``parent``, or of another thread of its group."""
    u64: memoryview = parent.k.u64
    real_parent = u64[(child.pa >> 3) + _REAL_PARENT] & PHYSICAL_MASK
    return real_parent == parent.pa or bool(
        not wo.flags & __WNOTHREAD
        and u64[(real_parent >> 3) + _SIGNAL] == u64[(parent.pa >> 3) + _SIGNAL])


def _each_child(parent: task_struct, wo: wait_opts) -> Iterator[task_struct]:
    threads = [parent] if wo.flags & __WNOTHREAD or thread_group_empty(parent) else (
        for_each_thread(parent))
    for thread in threads:
        for child in list_for_each_entry(thread.children, task_struct, "sibling"):
            if wo.kind == _ANY or task_pgrp(child) == wo.number:
                yield child


def _eligible_child(flags: int, child: task_struct) -> bool:
    """Tell whether its signal makes ``child`` one that is waited for: __WCLONE, __WALL."""
    exit_signal = child.k.i32[(child.pa >> 2) + _EXIT_SIGNAL]
    return bool(flags & __WALL or (exit_signal != SIGCHLD) == bool(flags & __WCLONE))


def _wait_task_zombie(parent: task_struct, wo: wait_opts, child: task_struct) -> Waited:
    k: Kernel = child.k
    signal = signal_pa(child)
    u32, i32, c, s = k.u32, k.i32, child.pa >> 2, signal >> 2
    ended = u32[s + _SIGNAL_FLAGS] & SIGNAL_GROUP_EXIT
    status = i32[s + _GROUP_EXIT_CODE] if ended else i32[c + _EXIT_CODE]
    cause, value = exit_cause(status)
    waited = Waited(i32[c + _PID], status, cause, value, u32[c + _UID], _rusage(wo, child))
    if not wo.flags & WNOWAIT:
        set_exit_state(child, EXIT_DEAD)
        _account_child(k, signal_pa(parent), child.pa, signal)
        release_task(child)
    return waited


def _wait_task_stopped(wo: wait_opts, child: task_struct) -> Waited | None:
    signal = signal_of(child)
    if not wo.flags & WUNTRACED or not signal.flags & SIGNAL_STOP_STOPPED:
        return None
    code = signal.group_exit_code
    if not code:
        return None
    if not wo.flags & WNOWAIT:
        signal.group_exit_code = 0
    return Waited(child.pid, code << 8 | 0x7F, CLD_STOPPED, code, child.uid,
                  _rusage(wo, child))


def _wait_task_continued(wo: wait_opts, child: task_struct) -> Waited | None:
    signal = signal_of(child)
    if not wo.flags & WCONTINUED or not signal.flags & SIGNAL_STOP_CONTINUED:
        return None
    if not wo.flags & WNOWAIT:
        signal.flags &= ~SIGNAL_STOP_CONTINUED
    return Waited(child.pid, 0xFFFF, CLD_CONTINUED, SIGCONT, child.uid,
                  _rusage(wo, child))


def _rusage(wo: wait_opts, child: task_struct) -> bytes:
    return getrusage(child, RUSAGE_BOTH) if wo.rusage else b""


def _account_child(k: Kernel, signal: int, child: int, own: int) -> None:
    """Add what a child, and its own children, have used to what its parent's children have.

    Args:
        signal: the parent's signal_struct; this and the others are physical addresses.
        child: the last thread of the child, its leader.
        own: the child's signal_struct.
    """
    u8, u64 = k.u8, k.u64
    times = signal + _CHILDREN_TIMES
    u8[times : times + _TIMES_SIZE] = (
        _times(u8, times) + _times(u8, child + _THREAD_TIMES) + _times(u8, own + _TIMES)
        + _times(u8, own + _CHILDREN_TIMES)).to_bytes(_TIMES_SIZE, "little")
    place, o = (signal >> 3) + _CMAXRSS, own >> 3
    u64[place] = max(u64[place], u64[o + _MAXRSS], u64[o + _CMAXRSS])


# System calls


@SYSCALL_DEFINE
def sys_exit(current: task_struct, error_code: Int) -> int:
    """End the calling thread.  See _exit(2)."""
    do_exit(current, (error_code & 0xFF) << 8)


@SYSCALL_DEFINE
def sys_exit_group(current: task_struct, error_code: Int) -> int:
    """End all threads of the process.  See exit_group(2)."""
    do_group_exit(current, (error_code & 0xFF) << 8)


def kernel_wait4(current: task_struct, nr: int, options: int, *, rusage: bool = False) -> Waited:
    """Wait for a child as wait4(2) does.

    Args:
        rusage: say what the child has used, too.

    Raises:
        SyscallError: EINVAL, ESRCH, ECHILD, ERESTARTSYS.
        Sleep.
    """
    if options & ~(WNOHANG | WUNTRACED | WCONTINUED | _KIND):
        raise SyscallError(Errno.EINVAL)
    if nr == -(1 << 31):
        raise SyscallError(Errno.ESRCH)
    kind, number = _ANY, None
    if nr > 0:
        kind, number = PIDTYPE_PID, find_pid(current.k, nr)
    elif nr != -1:
        kind = PIDTYPE_PGID
        number = find_pid(current.k, -nr) if nr else task_pgrp(current)
    return do_wait(current, wait_opts(kind, number, options | WEXITED, rusage))


@SYSCALL_DEFINE
def sys_wait4(current: task_struct, upid: Int, stat_addr: UserPtr, options: Int,
              ru: UserPtr) -> int:
    """Wait for a child to change its state.  See wait4(2)."""
    waited = kernel_wait4(current, upid, options & 0xFFFF_FFFF, rusage=bool(ru))
    if waited.nr:
        if stat_addr:
            put_user_u32(current.k, stat_addr, waited.status)
        if ru:
            copy_to_user(current.k, ru, waited.rusage)
    return waited.nr


@SYSCALL_DEFINE
def sys_ft_wait(current: task_struct, status: UserPtr) -> int:
    """Wait for any child to end; return 0.

    One of this project's own calls.  The original went round in a loop until a child had ended, and
    stored its status through any pointer: this one sleeps, and answers ECHILD, EINTR and EFAULT.

    See: docs/processes.md, "The project's own calls".
    """
    waited = kernel_wait4(current, -1, 0)
    if status:
        put_user_u32(current.k, status, waited.status)
    return 0


def kernel_waitid(current: task_struct, which: int, upid: int, flags: int, *,
                  rusage: bool) -> Waited:
    """Wait for a child as waitid(2) does.

    Raises:
        SyscallError: EINVAL, EBADF, ECHILD, ERESTARTSYS.
        Sleep.
    """
    if (flags & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | _KIND)
            or not flags & (WEXITED | WSTOPPED | WCONTINUED)):
        raise SyscallError(Errno.EINVAL)
    k: Kernel = current.k
    kind, number = _ANY, None
    if which == P_PID:
        if upid <= 0:
            raise SyscallError(Errno.EINVAL)
        kind, number = PIDTYPE_PID, find_pid(k, upid)
    elif which == P_PGID:
        if upid < 0:
            raise SyscallError(Errno.EINVAL)
        kind, number = PIDTYPE_PGID, find_pid(k, upid) if upid else task_pgrp(current)
    elif which == P_PIDFD:
        raise SyscallError(Errno.EINVAL if upid < 0 else Errno.EBADF)
    elif which != P_ALL:
        raise SyscallError(Errno.EINVAL)
    return do_wait(current, wait_opts(kind, number, flags, rusage))


@SYSCALL_DEFINE
def sys_waitid(current: task_struct, which: Int, upid: Int, infop: UserPtr, options: Int,
               ru: UserPtr) -> int:
    """Wait for a child to change its state, of the kinds that are asked for.  See waitid(2).

    Limits: there are no process file descriptors: P_PIDFD is EBADF.
    """
    k: Kernel = current.k
    failure = None
    waited = Waited(0)
    try:
        waited = kernel_waitid(current, which, upid, options & 0xFFFF_FFFF, rusage=bool(ru))
    except SyscallError as error:
        failure = error
    if waited.nr and ru:
        copy_to_user(k, ru, waited.rusage)
    if infop:  # also after an error, as Linux; up to si_status, the padding keeps what it holds
        copy_to_user(k, infop, _SIGINFO.pack(SIGCHLD if waited.nr else 0, 0, waited.cause))
        copy_to_user(k, infop + 16, _SIGINFO_CHILD.pack(waited.nr, waited.uid, waited.si_status))
    if failure is not None:
        raise failure
    return 0
