"""Death of a task, and waiting for it: the two ends of one zombie.

``do_exit`` gives back what the task has, in Linux's order, and leaves a zombie: the task_struct
with its exit code, for the parent.  ``do_wait`` finds it, and ``release_task`` frees what is left.
A thread that is not the leader of its group has nobody who waits, and is released at once; a leader
becomes a zombie for its parent when it is the last of its group.

See: Linux kernel/exit.c; exit_group(2), wait(2).
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from guest_kernel.errors import BUG, Errno, KernelPanic, Sleep, SyscallError
from guest_kernel.fs.file import exit_files
from guest_kernel.fs.fs_struct import exit_fs
from guest_kernel.fs.proc import proc_flush_pid
from guest_kernel.ipc.sem import exit_sem
from guest_kernel.kernel import Kernel
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import (
    EXIT_DEAD,
    EXIT_ZOMBIE,
    PF_EXITING,
    SIGNAL_GROUP_EXIT,
    SIGNAL_STOP_CONTINUED,
    SIGNAL_STOP_STOPPED,
    TASK_DEAD,
    TASK_NORMAL,
    pcpu_hot,
    pid,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import (
    hlist_empty,
    list_add_tail,
    list_del_init,
    list_del_init_va,
    list_empty,
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
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_TGID,
    detach_pid,
    detach_process,
    find_pid,
    task_pgrp,
    task_pid,
    task_session,
)
from guest_kernel.process.resource import RUSAGE_BOTH, getrusage
from guest_kernel.process.tasks import (
    for_each_thread,
    next_thread,
    thread_group_empty,
    thread_group_leader,
)
from guest_kernel.process.user import put_process_slot
from guest_kernel.sched.core import set_task_state, try_to_wake_up
from guest_kernel.sched.wait import complete, sleep_on
from guest_kernel.signal.numbers import (
    CLD_CONTINUED,
    CLD_DUMPED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
)
from guest_kernel.signal.signal import (
    COREDUMP,
    do_notify_parent,
    exit_signals,
    flush_sigqueue,
    has_stopped_jobs,
    kill_pgrp,
    send_signal,
    signal_of,
    user_info,
    will_become_orphaned_pgrp,
    zap_other_threads,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr

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

_TASKS: Final = task_struct.offsetof("tasks")
_SIBLING: Final = task_struct.offsetof("sibling")
_THREAD_NODE: Final = task_struct.offsetof("thread_node")

# exit_state: which may follow which.
_TRANSITIONS: Final = {0: {EXIT_ZOMBIE, EXIT_DEAD}, EXIT_ZOMBIE: {EXIT_DEAD}}


def set_exit_state(task: task_struct, state: int) -> None:
    """Change ``exit_state``.

    Raises:
        KernelPanic: the change makes no sense from the present state.
    """
    if state not in _TRANSITIONS.get(task.exit_state, ()):
        BUG(f"task {task.pid}: exit_state {task.exit_state:#x} cannot become {state:#x}")
    task.exit_state = state


# ------------------------------------------------------------------------------------ death


def do_exit(task: task_struct, code: int) -> NoReturn:
    """End the current task, a thread.

    Args:
        code: wait status: exit status << 8, or the signal that killed it.

    Raises:
        Sleep: always; it never runs again.
        KernelPanic: the task is the last of init.
    """
    signal = signal_of(task)
    synchronize_group_exit(signal, code)
    exit_signals(task)
    signal.live -= 1
    group_dead = not signal.live
    if group_dead and task.tgid == 1:
        code = signal.group_exit_code or code
        raise KernelPanic(f"Attempted to kill init! exitcode={code:#010x}")
    task.exit_code = code
    exit_mm(task, signal)
    exit_sem(task)
    exit_files(task)
    exit_fs(task)
    exit_notify(task, signal, group_dead)
    set_task_state(task, TASK_DEAD)
    raise Sleep


def synchronize_group_exit(signal: signal_struct, code: int) -> None:
    """Let the last thread of a group say how the group has ended."""
    if signal.live == 1 and not signal.flags & SIGNAL_GROUP_EXIT:
        signal.flags = SIGNAL_GROUP_EXIT
        signal.group_exit_code = code
        signal.group_stop_count = 0


def do_group_exit(task: task_struct, code: int) -> NoReturn:
    """End the current task and all threads of its group.

    Args:
        code: wait status, unless another thread has set the group's already.
    """
    signal = signal_of(task)
    if signal.flags & SIGNAL_GROUP_EXIT:
        code = signal.group_exit_code
    elif signal.group_exec_task is not None:
        code = 0
    else:
        signal.group_exit_code = code
        signal.flags = SIGNAL_GROUP_EXIT
        if not thread_group_empty(task):
            zap_other_threads(task)
    do_exit(task, code)


def exit_mm(task: task_struct, signal: signal_struct) -> None:
    """Give up the address space; its page table stays until another one is loaded."""
    mm_release(task)
    mm = task.mm
    if mm is None:
        return
    signal.maxrss = max(signal.maxrss, mm.hiwater_rss, get_mm_rss(mm))
    mmgrab(mm)
    task.active_mm, task.mm = mm, None
    mmput(mm)


def mm_release(task: task_struct) -> None:
    """Do what the task has promised for when it leaves its address space.

    Clear ``clear_child_tid``, if somebody is left to see it, and let a vfork parent go on, or
    whoever waits for a kernel thread to end.
    """
    if task.clear_child_tid:
        if task.mm is not None and task.mm.mm_users > 1:
            with suppress(SyscallError):  # as Linux: nobody waits at a bad address
                put_user_u32(task.k, task.clear_child_tid, 0)
        task.clear_child_tid = 0
    if task.vfork_done is not None:
        done = task.vfork_done
        task.vfork_done = None
        complete(done)


def exit_notify(task: task_struct, signal: signal_struct, group_dead: bool) -> None:
    """Find new parents for the children, then tell the parent."""
    dead = forget_original_parent(task)
    if group_dead:
        leader = task.group_leader
        assert leader is not None
        kill_orphaned_pgrp(leader, None)
    set_exit_state(task, EXIT_ZOMBIE)
    if not thread_group_leader(task) or (
            thread_group_empty(task) and do_notify_parent(task, task.exit_signal)):
        set_exit_state(task, EXIT_DEAD)
        dead.append(task)
    if signal.notify_count < 0 and signal.group_exec_task is not None:
        try_to_wake_up(signal.group_exec_task, TASK_NORMAL)  # execve() waits for the leader
    for zombie in dead:
        release_task(zombie)


def forget_original_parent(father: task_struct) -> list[task_struct]:
    """Give the children of a task that dies to another parent.

    Returns:
        Those that the new parent wants no zombie of, to be released.
    """
    dead: list[task_struct] = []
    if list_empty(father.children):
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
    ignored = None if parent is not None else task
    parent = parent if parent is not None else task.real_parent
    assert parent is not None
    if (task_pgrp(parent) != task_pgrp(task) and task_session(parent) == task_session(task)
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
    while True:
        leader = task.group_leader
        assert leader is not None
        _exit_signal(task)
        zap_leader = (leader != task and leader.exit_state == EXIT_ZOMBIE
                      and thread_group_empty(leader))
        if zap_leader:
            signal = signal_of(leader)
            if signal.flags & SIGNAL_GROUP_EXIT:
                leader.exit_code = signal.group_exit_code  # SIGCHLD tells how the group has ended
            zap_leader = do_notify_parent(leader, leader.exit_signal)
        put_task_struct(task)
        if not zap_leader:
            return
        set_exit_state(leader, EXIT_DEAD)
        task = leader


def _exit_signal(task: task_struct) -> None:
    """Take a task out of its group and off all lists; its times stay with the group."""
    k: Kernel = task.k
    signal, sighand = signal_of(task), task.sighand
    assert sighand is not None
    group_dead = thread_group_leader(task)
    if not group_dead:
        if signal.notify_count > 0:
            signal.notify_count -= 1
            if not signal.notify_count and signal.group_exec_task is not None:
                try_to_wake_up(signal.group_exec_task, TASK_NORMAL)
        if signal.curr_target == task:
            signal.curr_target = next_thread(task)
    u64, own, kept = k.u64, task.pa >> 3, signal.pa >> 3
    for mine, group, _ in _TIMES:
        u64[kept + group] += u64[own + mine]
    signal.nr_threads -= 1
    number = task_pid(task)
    assert number is not None
    if not hlist_empty(number.inodes):
        proc_flush_pid(number)
    va = task.va
    if group_dead:
        detach_process(task)
        list_del_init_va(u64, va + _TASKS)
        list_del_init_va(u64, va + _SIBLING)
    else:
        detach_pid(task, PIDTYPE_PID)
    list_del_init_va(u64, va + _THREAD_NODE)
    k.data(sched_data).nr_threads -= 1
    put_process_slot(task)
    flush_sigqueue(task.pending)
    task.sighand = None
    put_sighand(k, sighand.pa)
    if group_dead:
        flush_sigqueue(signal.shared_pending)


# Of a thread that has ended, its group keeps these, and of a group, its parent's: where a task has
# each, a group of its own threads, and of the children it has waited for; in words.
_TIMES: Final = tuple(
    (task_struct.offsetof(name) >> 3, signal_struct.offsetof(name) >> 3,
     signal_struct.offsetof("c" + name) >> 3)
    for name in ("utime", "stime", "nvcsw", "nivcsw", "min_flt", "maj_flt"))


# ---------------------------------------------------------------------------------- waiting


class wait_opts(NamedTuple):
    """Whom a parent waits for, and how.  See Linux struct wait_opts.

    Attributes:
        kind: PIDTYPE_* by which ``number`` is meant; _ANY: every child.
        number: the struct pid; None: nobody has it.
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
    possible = False
    if wo.kind == _ANY or wo.number is not None:
        threads = [parent] if wo.flags & __WNOTHREAD or thread_group_empty(parent) else (
            for_each_thread(parent))
        for thread in threads:
            for child in list_for_each_entry(thread.children, task_struct, "sibling"):
                if child.exit_state == EXIT_DEAD or not _eligible_child(wo, child):
                    continue
                if child.exit_state == EXIT_ZOMBIE and thread_group_empty(child):
                    if wo.flags & WEXITED:
                        return _wait_task_zombie(parent, wo, child)
                    continue
                possible = True
                waited = _wait_task_stopped(wo, child) or _wait_task_continued(wo, child)
                if waited is not None:
                    return waited
    if not possible:
        raise SyscallError(Errno.ECHILD)
    if wo.flags & WNOHANG:
        return Waited(0)
    sleep_on(parent, signal_of(parent).wait_chldexit)


def _eligible_child(wo: wait_opts, child: task_struct) -> bool:
    if wo.kind != _ANY:
        number = task_pgrp(child) if wo.kind == PIDTYPE_PGID else task_pid(child)
        if number != wo.number:
            return False
    return bool(wo.flags & __WALL
                or (child.exit_signal != SIGCHLD) == bool(wo.flags & __WCLONE))


def _wait_task_zombie(parent: task_struct, wo: wait_opts, child: task_struct) -> Waited:
    signal = signal_of(child)
    status = signal.group_exit_code if signal.flags & SIGNAL_GROUP_EXIT else child.exit_code
    if status & 0x7F:
        cause, value = CLD_DUMPED if status & COREDUMP else CLD_KILLED, status & 0x7F
    else:
        cause, value = CLD_EXITED, status >> 8
    waited = Waited(child.pid, status, cause, value, child.uid, _rusage(wo, child))
    if not wo.flags & WNOWAIT:
        set_exit_state(child, EXIT_DEAD)
        _account_child(signal_of(parent), child)
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


def _account_child(signal: signal_struct, child: task_struct) -> None:
    """Add what a child, and its own children, have used to what its parent's children have."""
    own = signal_of(child)
    u64, parents, thread, group = child.k.u64, signal.pa >> 3, child.pa >> 3, own.pa >> 3
    for mine, ended, waited in _TIMES:
        u64[parents + waited] += (
            u64[thread + mine] + u64[group + ended] + u64[group + waited])
    signal.cmaxrss = max(signal.cmaxrss, own.maxrss, own.cmaxrss)


# System calls


@SYSCALL_DEFINE
def sys_exit(current: task_struct, error_code: Int) -> int:
    """End the calling thread.  See _exit(2).

    Limits: the robust futexes of the thread are not given up.
    """
    do_exit(current, (error_code & 0xFF) << 8)


@SYSCALL_DEFINE
def sys_exit_group(current: task_struct, error_code: Int) -> int:
    """End all threads of the process.  See exit_group(2).

    Limits: as exit.
    """
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
