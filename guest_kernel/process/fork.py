"""Birth of a task.

Only kernel threads are born so far, one of which becomes the program: fork(2) and clone(2) will be
the same steps with what they share or copy.

See: Linux kernel/fork.c copy_process(), arch/x86/kernel/process.c copy_thread().
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    DEFAULT_PRIO,
    NICE_0_LOAD,
    PF_FORKNOEXEC,
    PF_IDLE,
    PF_KTHREAD,
    RLIM_INFINITY,
    RLIM_NLIMITS,
    RLIMIT_CORE,
    RLIMIT_MEMLOCK,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RLIMIT_RTPRIO,
    RLIMIT_SIGPENDING,
    RLIMIT_STACK,
    STACK_END_MAGIC,
    TASK_NEW,
    THREAD_SIZE,
    sched_data,
    sighand_struct,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages, free_pages
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    alloc_pid,
    attach_pid,
    put_pid,
)
from guest_kernel.sched.core import wake_up_new_task
from guest_kernel.sched.wait import init_waitqueue_head
from guest_kernel.signal.numbers import SIGCHLD
from guest_kernel.time.timekeeping import ktime_get

THREAD_SIZE_ORDER: Final = (THREAD_SIZE >> 12).bit_length() - 1
_SWITCH_FRAME: Final = 7  # words that __switch_to_asm pops: six registers and the return address
_RBX: Final = 4  # which of them is RBX

# RLIMIT_*: soft and hard limit of init where they are not unlimited.  See Linux INIT_RLIMITS.
INIT_RLIMITS: Final = {
    RLIMIT_STACK: (8 << 20, RLIM_INFINITY), RLIMIT_CORE: (0, RLIM_INFINITY),
    RLIMIT_NOFILE: (1024, 4096), RLIMIT_MEMLOCK: (8 << 20, 8 << 20),
    RLIMIT_MSGQUEUE: (819200, 819200), RLIMIT_NICE: (0, 0), RLIMIT_RTPRIO: (0, 0),
}


def init_idle(k: Kernel) -> task_struct:
    """Fill ``init_task``: pid 0, swapper, which is running already."""
    task = k.data(sched_data).init_task
    _init_links(task)
    task.stack = k.symbols["init_stack"]
    _set_task_stack_end_magic(task)
    task.usage = 2
    task.flags = PF_KTHREAD | PF_IDLE
    _init_priority(task)
    task.comm = b"swapper"
    task.active_mm = k.data(vm_data).init_mm
    task.real_parent = task.parent = task.group_leader = task
    task.signal, task.sighand = _new_signal(k), _new_sighand(k)
    task.on_cpu = 1
    for index, limit in enumerate(task.signal.rlim):
        soft, hard = INIT_RLIMITS.get(index, (RLIM_INFINITY, RLIM_INFINITY))
        limit.rlim_cur, limit.rlim_max = soft, hard
    # As many processes as half of what a quarter of RAM has room for: Linux set_max_threads().
    threads = k.ram.size // (8 * THREAD_SIZE)
    for index in (RLIMIT_NPROC, RLIMIT_SIGPENDING):
        limit = task.signal.rlim[index]
        limit.rlim_cur = limit.rlim_max = threads // 2
    return task


def kernel_thread(k: Kernel, function: int, data: int, comm: bytes,
                  parent: task_struct) -> task_struct:
    """Make a kernel thread and start it.

    Args:
        function: its number, see process/kthread.py.
        data: its argument.

    Raises:
        SyscallError: EAGAIN, no number is free; ENOMEM.
    """
    task = _copy_process(k, parent)
    task.comm = comm
    task.kthread_fn, task.kthread_data = function, data
    k.data(sched_data).total_forks += 1
    wake_up_new_task(task)
    return task


def _copy_process(k: Kernel, parent: task_struct) -> task_struct:
    """Make a task, invisible until its last step; on failure nothing is left of it."""
    with ExitStack() as undo:
        try:
            task = _dup_task_struct(k, undo)
            task.flags = PF_KTHREAD | PF_FORKNOEXEC
            _sched_fork(task)
            task.sighand = _new_sighand(k)
            undo.callback(kfree, task.sighand)
            task.signal = _new_signal(k)
            undo.callback(kfree, task.signal)
            _copy_rlimits(task, parent)
            task.active_mm = k.data(vm_data).init_mm
            _copy_thread(task)
            number = alloc_pid(k)
            undo.callback(put_pid, number)
        except OutOfFrames as error:
            raise SyscallError(Errno.ENOMEM) from error
        undo.pop_all()
    task.pid = task.tgid = number.nr
    task.thread_pid = number
    task.exit_signal = SIGCHLD
    task.group_leader = task
    task.start_time = task.start_boottime = ktime_get(k)
    task.real_parent = task.parent = parent
    _make_visible(task)
    return task


def _make_visible(task: task_struct) -> None:
    k: Kernel = task.k
    data = k.data(sched_data)
    number = task.thread_pid
    assert number is not None
    for kind in (PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID):
        attach_pid(task, kind, number)
    assert task.signal is not None
    assert task.real_parent is not None
    list_add_tail(task.thread_node, task.signal.thread_head)
    list_add_tail(task.sibling, task.real_parent.children)
    list_add_tail(task.tasks, data.init_task.tasks)
    data.nr_threads += 1


def _dup_task_struct(k: Kernel, undo: ExitStack) -> task_struct:
    """Allocate a task and its kernel stack."""
    task = kzalloc(k, task_struct)
    undo.callback(kfree, task)
    stack = alloc_pages(k, THREAD_SIZE_ORDER)
    undo.callback(free_pages, k, stack, THREAD_SIZE_ORDER)
    task.stack = stack + PAGE_OFFSET
    _set_task_stack_end_magic(task)
    task.usage = 2  # one for the parent, which waits; one for finish_task_switch()
    _init_links(task)
    task.cpus_mask = 1
    task.timer_slack_ns = 50_000
    task.dumpable = 1
    return task


def _init_links(task: task_struct) -> None:
    for head in (task.children, task.sibling, task.tasks, task.thread_node, task.wait_entries,
                 task.se.group_node, task.rt.run_list, task.pending.list):
        INIT_LIST_HEAD(head)


def _set_task_stack_end_magic(task: task_struct) -> None:
    task.k.u32[(task.stack & PHYSICAL_MASK) >> 2] = STACK_END_MAGIC


def _init_priority(task: task_struct) -> None:
    task.prio = task.static_prio = task.normal_prio = DEFAULT_PRIO
    task.se.load_weight = NICE_0_LOAD


def _sched_fork(task: task_struct) -> None:
    setattr(task, "__state", TASK_NEW)  # the first state; no transition leads to it
    _init_priority(task)


def _new_sighand(k: Kernel) -> sighand_struct:
    hand = kzalloc(k, sighand_struct)
    hand.count = 1
    return hand


def _new_signal(k: Kernel) -> signal_struct:
    signal = kzalloc(k, signal_struct)
    signal.sigcnt = signal.live = 1
    signal.nr_threads = 1
    INIT_LIST_HEAD(signal.thread_head)
    INIT_LIST_HEAD(signal.shared_pending.list)
    init_waitqueue_head(signal.wait_chldexit)
    return signal


def _copy_rlimits(task: task_struct, parent: task_struct) -> None:
    assert task.signal is not None
    assert parent.signal is not None
    offset, size = signal_struct.offsetof("rlim"), RLIM_NLIMITS * 16
    source, target = parent.signal.pa + offset, task.signal.pa + offset
    task.k.u8[target : target + size] = task.k.u8[source : source + size]


def _copy_thread(task: task_struct) -> None:
    """Lay out the new kernel stack: pt_regs, and below it what __switch_to_asm pops."""
    k: Kernel = task.k
    top = (task.stack & PHYSICAL_MASK) + THREAD_SIZE
    frame = top - pt_regs.size - 8 * _SWITCH_FRAME
    k.u8[frame:top] = bytes(top - frame)
    words = frame >> 3
    k.u64[words + _RBX] = 1  # ret_from_fork: a kernel thread
    k.u64[words + _SWITCH_FRAME - 1] = k.symbols["ret_from_fork"]
    task.thread.sp = frame + PAGE_OFFSET


def task_pt_regs(task: task_struct) -> pt_regs:
    """Return the registers of ring 3, at the top of the task's kernel stack."""
    return pt_regs(task.k, (task.stack & PHYSICAL_MASK) + THREAD_SIZE - pt_regs.size)


def put_task_struct(task: task_struct) -> None:
    """Drop a reference; the last one frees the structure."""
    task.usage -= 1
    if not task.usage:
        kfree(task)


def release_task_stack(task: task_struct) -> None:
    """Free the kernel stack of a task that will never run again."""
    free_pages(task.k, task.stack & PHYSICAL_MASK, THREAD_SIZE_ORDER)
    task.stack = 0
