"""Death of a task, and waiting for it: the two ends of one zombie.

See: Linux kernel/exit.c; wait4(2), exit_group(2).
"""

from __future__ import annotations

from typing import Final, NoReturn

from guest_kernel.errors import BUG, Errno, KernelPanic, Sleep, SyscallError
from guest_kernel.fs.file import exit_files
from guest_kernel.fs.fs_struct import exit_fs
from guest_kernel.kernel import Kernel
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import (
    EXIT_DEAD,
    EXIT_ZOMBIE,
    PF_EXITING,
    TASK_DEAD,
    pcpu_hot,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import list_add_tail, list_del_init, list_for_each_entry
from guest_kernel.mm.mm import mmdrop, mmgrab, mmput
from guest_kernel.mm.slab import kfree
from guest_kernel.process.fork import put_task_struct, release_task_stack
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    detach_pid,
    put_pid,
)
from guest_kernel.sched.core import set_task_state
from guest_kernel.sched.wait import sleep_on, wake_up
from guest_kernel.syscalls import SYSCALL_DEFINE, Int

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


def do_exit(task: task_struct, code: int) -> NoReturn:
    """End the current task.

    Args:
        code: wait status: exit status << 8, or the signal that killed it.

    Raises:
        Sleep: always; it never runs again.
        KernelPanic: the task is init.
    """
    if task.pid == 1:
        raise KernelPanic(f"Attempted to kill init! exitcode={code:#010x}")
    task.flags |= PF_EXITING
    task.exit_code = code
    _exit_mm(task)
    exit_files(task)
    exit_fs(task)
    _exit_notify(task)
    set_task_state(task, TASK_DEAD)
    raise Sleep


def _exit_mm(task: task_struct) -> None:
    """Give up the address space; its page table stays until another one is loaded."""
    mm = task.mm
    if mm is None:
        return
    assert task.signal is not None
    task.signal.maxrss = max(task.signal.maxrss, mm.hiwater_rss)
    mmgrab(mm)
    task.active_mm, task.mm = mm, None
    mmput(mm)


def _exit_notify(task: task_struct) -> None:
    """Find new parents for the children, then tell the parent."""
    k: Kernel = task.k
    reaper = k.data(sched_data).init_pid_task
    for child in list_for_each_entry(task.children, task_struct, "sibling"):
        child.real_parent = child.parent = reaper
        assert reaper is not None
        list_del_init(child.sibling)
        list_add_tail(child.sibling, reaper.children)
    set_exit_state(task, EXIT_ZOMBIE)
    assert task.parent is not None
    assert task.parent.signal is not None
    wake_up(task.parent.signal.wait_chldexit)


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
    """Free a zombie: nothing of it can be found any more."""
    k: Kernel = task.k
    set_exit_state(task, EXIT_DEAD)
    number = task.thread_pid
    assert number is not None
    for kind in (PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID):
        detach_pid(task, kind, number)
    task.thread_pid = None
    put_pid(number)
    list_del_init(task.thread_node)
    list_del_init(task.sibling)
    list_del_init(task.tasks)
    k.data(sched_data).nr_threads -= 1
    assert task.signal is not None
    assert task.sighand is not None
    kfree(task.signal)
    kfree(task.sighand)
    task.signal = task.sighand = None
    put_task_struct(task)


# The last statement never returns, which the linter cannot see.
def wait_for_child(parent: task_struct) -> tuple[int, int]:  # noqa: RET503
    """Reap a zombie child, sleeping until there is one.

    Returns:
        Its number and wait status.

    Raises:
        SyscallError: ECHILD, there are no children.
        Sleep: none is dead yet.
    """
    any_child = False
    for child in list_for_each_entry(parent.children, task_struct, "sibling"):
        any_child = True
        if child.exit_state == EXIT_ZOMBIE:
            result = child.pid, child.exit_code
            assert parent.signal is not None
            _account_child(parent.signal, child)
            release_task(child)
            return result
    if not any_child:
        raise SyscallError(Errno.ECHILD)
    assert parent.signal is not None
    sleep_on(parent, parent.signal.wait_chldexit)


def _account_child(signal: signal_struct, child: task_struct) -> None:
    assert child.signal is not None
    signal.cutime += child.utime + child.signal.cutime
    signal.cstime += child.stime + child.signal.cstime
    signal.cmin_flt += child.min_flt + child.signal.cmin_flt
    signal.cmaj_flt += child.maj_flt + child.signal.cmaj_flt
    signal.cnvcsw += child.nvcsw + child.signal.cnvcsw
    signal.cnivcsw += child.nivcsw + child.signal.cnivcsw
    signal.cmaxrss = max(signal.cmaxrss, child.signal.maxrss, child.signal.cmaxrss)


# System calls


@SYSCALL_DEFINE
def sys_exit(current: task_struct, error_code: Int) -> int:
    """End the calling thread.  See _exit(2)."""
    do_exit(current, (error_code & 0xFF) << 8)


@SYSCALL_DEFINE
def sys_exit_group(current: task_struct, error_code: Int) -> int:
    """End all threads of the process.  See exit_group(2).

    Limits: a process has one thread.
    """
    do_exit(current, (error_code & 0xFF) << 8)
