"""Birth of a task: fork, vfork, clone, clone3, and kernel threads.

``kernel_clone`` makes the child with ``copy_process`` and starts it with ``wake_up_new_task``.
Each step of ``copy_process`` is a function of its own that takes one thing, shared or copied as the
flags say, and what it has taken is given back in reverse if a later step fails.  Nobody can find
the child before the last step, and it runs last of all.

See: Linux kernel/fork.c, arch/x86/kernel/process.c copy_thread(); fork(2), clone(2).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from guest_kernel.drivers.tty.ctty import inherit_tty
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.file import dup_fd, get_files_struct, put_files_struct, task_rlimit
from guest_kernel.fs.fs_struct import copy_fs_struct, get_fs_struct, put_fs_struct
from guest_kernel.ipc.sem import copy_semundo, exit_sem
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP, Struct
from guest_kernel.layout.fs import files_struct, fs_struct
from guest_kernel.layout.mm_types import TASK_SIZE_MAX, mm_struct, vm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    CLONE_VM,
    NR_CACHED_STACKS,
    PF_FORKNOEXEC,
    PF_IDLE,
    PF_KTHREAD,
    PF_SIGNALED,
    PF_SUPERPRIV,
    RLIM_INFINITY,
    RLIMIT_CORE,
    RLIMIT_MEMLOCK,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RLIMIT_RTPRIO,
    RLIMIT_SIGPENDING,
    RLIMIT_STACK,
    SIGNAL_UNKILLABLE,
    STACK_END_MAGIC,
    SYSCALL_WORK_SYSCALL_TRACE,
    THREAD_SIZE,
    TIF_NEED_RESCHED,
    TIF_SIGPENDING,
    k_sigaction,
    kthread,
    pid,
    sched_data,
    sighand_struct,
    signal_struct,
    task_struct,
)
from guest_kernel.layout.signal import user_struct
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail, list_add_tail_va
from guest_kernel.mm.mm import drop_dup_mm, dup_mmap, mmget, mmput
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages, free_pages
from guest_kernel.mm.slab import alloc_struct, free_struct, kfree, kzalloc
from guest_kernel.mm.uaccess import copy_from_user, put_user_u32
from guest_kernel.process.pid import (
    PIDTYPE_PID,
    alloc_pid,
    attach_pid,
    attach_process,
    free_pid,
    init_task_pid,
    pid_nr,
)
from guest_kernel.process.user import alloc_uid, get_process_slot, put_process_slot
from guest_kernel.sched.core import sched_fork, wake_up_new_task
from guest_kernel.sched.wait import (
    fatal_signal_pending,
    init_waitqueue_head,
    signal_pending,
    wait_for_completion_killable,
)
from guest_kernel.signal.numbers import (
    _NSIG,
    SIG_IGN,
    SIGCHLD,
)
from guest_kernel.signal.sigaction import sas_ss_reset
from guest_kernel.signal.signal import recalc_sigpending
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong, UserPtr
from guest_kernel.time.timekeeping import ktime_get

# ---- clone flags, clone(2)
CSIGNAL: Final = 0xFF  # the signal to the parent, in clone's flags

CLONE_FS: Final = 0x0000_0200
CLONE_FILES: Final = 0x0000_0400
CLONE_SIGHAND: Final = 0x0000_0800
CLONE_PIDFD: Final = 0x0000_1000
CLONE_PTRACE: Final = 0x0000_2000
CLONE_VFORK: Final = 0x0000_4000
CLONE_PARENT: Final = 0x0000_8000
CLONE_THREAD: Final = 0x0001_0000
CLONE_NEWNS: Final = 0x0002_0000
CLONE_SETTLS: Final = 0x0008_0000
CLONE_PARENT_SETTID: Final = 0x0010_0000
CLONE_CHILD_CLEARTID: Final = 0x0020_0000
CLONE_DETACHED: Final = 0x0040_0000
CLONE_UNTRACED: Final = 0x0080_0000
CLONE_CHILD_SETTID: Final = 0x0100_0000
CLONE_NEWCGROUP: Final = 0x0200_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000
CLONE_IO: Final = 0x8000_0000
CLONE_CLEAR_SIGHAND: Final = 0x1_0000_0000  # clone3 only
CLONE_INTO_CGROUP: Final = 0x2_0000_0000
CLONE_NEWTIME: Final = 0x0000_0080

# There is one of each namespace, and no process file descriptors.
_NOT_HERE: Final = (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER
                    | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME | CLONE_PIDFD
                    | CLONE_INTO_CGROUP)

_NOT_PENDING: Final = ~(TIF_SIGPENDING | TIF_NEED_RESCHED) & (1 << 64) - 1
CLONE_ARGS_SIZE_VER0: Final = 64
CLONE_ARGS_SIZE: Final = 88  # with set_tid and cgroup

THREAD_SIZE_ORDER: Final = (THREAD_SIZE >> 12).bit_length() - 1
_SWITCH_FRAME: Final = 7  # words that __switch_to_asm pops: six registers and the return address
_RBX: Final = 4  # which of them is RBX

_TASK_SIZE: Final = task_struct.size
_SWITCH_FRAME_SIZE: Final = 8 * _SWITCH_FRAME
_NO_REGISTERS: Final = bytes(_SWITCH_FRAME_SIZE)
_REGS_SIZE: Final = pt_regs.size
_FROM_TOP: Final = THREAD_SIZE - _REGS_SIZE
_SP: Final = pt_regs.offsetof("sp") >> 3
_AX: Final = pt_regs.offsetof("ax") >> 3
_RLIM: Final = signal_struct.offsetof("rlim")
_SIGNAL_SIZE: Final = signal_struct.size
_SIGHAND_SIZE: Final = sighand_struct.size
_ACTION: Final = sighand_struct.offsetof("action")

# What a child does not inherit: bytes from the first up to the last; and its own list heads.
_OWN: Final = task_struct.offsetof("se.on_rq")
_OWN_END: Final = task_struct.offsetof("fxsave")
_OWN_ZEROS: Final = bytes(_OWN_END - _OWN)
_LIST_HEADS: Final = tuple(task_struct.offsetof(name) for name in (
    "children", "pending.list"))
_SIGNAL_LIST_HEADS: Final = tuple(signal_struct.offsetof(name) for name in (
    "thread_head", "shared_pending.list", "wait_chldexit.head"))

# Indices in u64.
_TI_FLAGS: Final = task_struct.offsetof("thread_info.flags") >> 3
_STACK: Final = task_struct.offsetof("stack") >> 3
_REAL_PARENT: Final = task_struct.offsetof("real_parent") >> 3
_PARENT: Final = task_struct.offsetof("parent") >> 3
_GROUP_LEADER: Final = task_struct.offsetof("group_leader") >> 3
_START_TIME: Final = task_struct.offsetof("start_time") >> 3
_START_BOOTTIME: Final = task_struct.offsetof("start_boottime") >> 3
_TIMER_SLACK: Final = task_struct.offsetof("timer_slack_ns") >> 3
_DEFAULT_TIMER_SLACK: Final = task_struct.offsetof("default_timer_slack_ns") >> 3
_THREAD_SP: Final = task_struct.offsetof("thread.sp") >> 3
_MM: Final = task_struct.offsetof("mm") >> 3
_ACTIVE_MM: Final = task_struct.offsetof("active_mm") >> 3
_SET_CHILD_TID: Final = task_struct.offsetof("set_child_tid") >> 3
_CLEAR_CHILD_TID: Final = task_struct.offsetof("clear_child_tid") >> 3
_USER: Final = task_struct.offsetof("user") >> 3
_FS: Final = task_struct.offsetof("fs") >> 3
_FILES: Final = task_struct.offsetof("files") >> 3
_SIGNAL: Final = task_struct.offsetof("signal") >> 3
_SIGHAND: Final = task_struct.offsetof("sighand") >> 3
_WORKER_PRIVATE: Final = task_struct.offsetof("worker_private") >> 3
_CACHED_STACKS: Final = sched_data.offsetof("cached_stacks") >> 3
_TOTAL_FORKS: Final = sched_data.offsetof("total_forks") >> 3
# Indices in u32 and i32.
_FLAGS: Final = task_struct.offsetof("flags") >> 2
_USAGE: Final = task_struct.offsetof("usage") >> 2
_PID: Final = task_struct.offsetof("pid") >> 2
_TGID: Final = task_struct.offsetof("tgid") >> 2
_EUID: Final = task_struct.offsetof("euid") >> 2
_EXIT_STATE: Final = task_struct.offsetof("exit_state") >> 2
_EXIT_SIGNAL: Final = task_struct.offsetof("exit_signal") >> 2
_SIGCNT: Final = signal_struct.offsetof("sigcnt") >> 2
_LIVE: Final = signal_struct.offsetof("live") >> 2
_SIGNAL_THREADS: Final = signal_struct.offsetof("nr_threads") >> 2
_HAS_SUBREAPER: Final = signal_struct.offsetof("has_child_subreaper") >> 2
_IS_SUBREAPER: Final = signal_struct.offsetof("is_child_subreaper") >> 2
_SIGHAND_COUNT: Final = sighand_struct.offsetof("count") >> 2
_NR_THREADS: Final = sched_data.offsetof("nr_threads") >> 2
_MAX_THREADS: Final = sched_data.offsetof("max_threads") >> 2
# Nodes and heads, in bytes.
_SIBLING: Final = task_struct.offsetof("sibling")
_CHILDREN: Final = task_struct.offsetof("children")
_TASKS: Final = task_struct.offsetof("tasks")
_THREAD_NODE: Final = task_struct.offsetof("thread_node")
_THREAD_HEAD: Final = signal_struct.offsetof("thread_head")
_ALL_TASKS: Final = sched_data.offsetof("init_task.tasks")
_TTY: Final = signal_struct.offsetof("tty") >> 3

# RLIMIT_*: soft and hard limit of init where they are not unlimited.  See Linux INIT_RLIMITS.
INIT_RLIMITS: Final = {
    RLIMIT_STACK: (8 << 20, RLIM_INFINITY), RLIMIT_CORE: (0, RLIM_INFINITY),
    RLIMIT_NOFILE: (1024, 4096), RLIMIT_MEMLOCK: (8 << 20, 8 << 20),
    RLIMIT_MSGQUEUE: (819200, 819200), RLIMIT_NICE: (0, 0), RLIMIT_RTPRIO: (0, 0),
}


class kernel_clone_args(NamedTuple):
    """What a new task is to be like.  See Linux struct kernel_clone_args.

    Attributes:
        flags: CLONE_*.
        exit_signal: sent to the parent when it ends, or 0.
        stack: its user stack pointer; 0: as the parent's.
        child_tid, parent_tid: user addresses, for CLONE_CHILD_SETTID and the like.
        tls: its FS base, with CLONE_SETTLS.
        fn, data: a kernel thread's function, see process/kthread.py, and its argument; 0: a user
            task.
        comm: a kernel thread's name.
    """

    flags: int
    exit_signal: int = 0
    stack: int = 0
    child_tid: int = 0
    parent_tid: int = 0
    tls: int = 0
    fn: int = 0
    data: int = 0
    comm: bytes = b""


_FORK: Final = kernel_clone_args(0, SIGCHLD)


def init_idle(k: Kernel) -> task_struct:
    """Fill ``init_task``: pid 0, swapper, which is running already."""
    data = k.data(sched_data)
    task = data.init_task
    task.stack = k.symbols["init_stack"]
    for head in (task.children, task.pending.list, task.tasks):
        INIT_LIST_HEAD(head)
    k.u32[(task.stack & PHYSICAL_MASK) >> 2] = STACK_END_MAGIC
    task.usage = 2
    task.flags = PF_KTHREAD | PF_IDLE
    task.comm = b"swapper"
    task.cpus_mask = 1
    task.timer_slack_ns = 50_000
    task.active_mm = k.data(vm_data).init_mm
    task.real_parent = task.parent = task.group_leader = task
    task.signal, task.sighand = signal_struct(k, _new_signal(k)), kzalloc(k, sighand_struct)
    task.sighand.count = 1
    list_add_tail(task.thread_node, task.signal.thread_head)
    task.on_cpu = 1
    for index, limit in enumerate(task.signal.rlim):
        soft, hard = INIT_RLIMITS.get(index, (RLIM_INFINITY, RLIM_INFINITY))
        limit.rlim_cur, limit.rlim_max = soft, hard
    # A quarter of RAM may be kernel stacks; a user may have half of it: Linux set_max_threads().
    data.max_threads = k.ram.size // (8 * THREAD_SIZE)
    for index in (RLIMIT_NPROC, RLIMIT_SIGPENDING):
        limit = task.signal.rlim[index]
        limit.rlim_cur = limit.rlim_max = data.max_threads // 2
    root_user = alloc_uid(k, 0)
    get_process_slot(task, root_user)
    return task


def kernel_thread(k: Kernel, function: int, data: int, comm: bytes, flags: int = 0) -> task_struct:
    """Make a kernel thread, a child of the current task, and start it.

    Args:
        function: its number, see process/kthread.py.
        data: its argument.
        flags: CLONE_FS, CLONE_FILES.

    Raises:
        SyscallError: EAGAIN, ENOMEM.
    """
    args = kernel_clone_args(flags | CLONE_VM | CLONE_UNTRACED, SIGCHLD, fn=function, data=data,
                             comm=comm)
    task = copy_process(k.current(), args)
    wake_up_new_task(task)
    return task


def kernel_clone(current: task_struct, args: kernel_clone_args) -> int:
    """Make a task and start it.

    Returns:
        Its number.

    Raises:
        SyscallError: as clone(2).
        Sleep: with CLONE_VFORK, until the child has given the address space back.
    """
    if args.flags & CLONE_VFORK and current.restart_block.fn:
        return _wait_for_vfork_done(current)
    try:
        task = copy_process(current, args)
    finally:
        drop_dup_mm(current.k)
    nr = task.pid
    if args.flags & CLONE_PARENT_SETTID:
        with suppress(SyscallError):  # as Linux: the child is there all the same
            put_user_u32(current.k, args.parent_tid, nr)
    if args.flags & CLONE_VFORK:
        current.vfork.done = 0
        init_waitqueue_head(current.vfork.wait)
        task.vfork_done = current.vfork
    wake_up_new_task(task)
    if args.flags & CLONE_VFORK:
        current.restart_block.arg[0] = task.va
        task.usage += 1
        return _wait_for_vfork_done(current)
    return nr


def _wait_for_vfork_done(current: task_struct) -> int:
    child = task_struct.at(current.k, current.restart_block.arg[0])
    try:
        wait_for_completion_killable(current, current.vfork)
    except SyscallError:
        # The parent is being killed: the child must not tell it any more.
        child.vfork_done = None
    nr = child.pid
    put_task_struct(child)
    return nr


def copy_process(current: task_struct, args: kernel_clone_args) -> task_struct:
    """Make a task that is ready to be started; on failure nothing is left of it.

    Raises:
        SyscallError: EINVAL: the flags contradict each other.  EAGAIN: a limit is reached, or no
            number is free.  ENOMEM.
    """
    k: Kernel = current.k
    flags = args.flags
    _check_flags(current, flags)
    if signal_pending(current):
        recalc_sigpending(current)
        if signal_pending(current):
            raise SyscallError(Errno.ERESTARTNOINTR)
    task = None
    try:
        task = dup_task_struct(current)
        copy_creds(task, current)
        threads = k.sched >> 2
        if k.i32[threads + _NR_THREADS] >= k.i32[threads + _MAX_THREADS]:
            raise SyscallError(Errno.EAGAIN)
        _init_own(task)
        if flags & CLONE_UNTRACED:
            task.thread_info.syscall_work &= ~SYSCALL_WORK_SYSCALL_TRACE
        sched_fork(task)
        copy_semundo(flags, task, current)
        copy_files(task, current, flags)
        copy_fs(task, current, flags)
        copy_sighand(task, current, flags)
        copy_signal(task, current, flags)
        copy_mm(task, current, flags)
        copy_thread(task, current, args)
        if args.fn:
            set_kthread_struct(task, args.fn, args.data)
        number = alloc_pid(k)
        if fatal_signal_pending(current):
            free_pid(number)
            raise SyscallError(Errno.ERESTARTNOINTR)
    except BaseException as error:
        if task is not None:
            _undo_steps(task, current)
        if isinstance(error, OutOfFrames):
            raise SyscallError(Errno.ENOMEM) from error
        raise
    _set_identity(task, current, args, number)
    _make_visible(task, current, number, flags)
    return task


def _undo_steps(task: task_struct, current: task_struct) -> None:
    """Give back what the steps of a copy_process() that failed have taken, the last first.

    The task has begun with NULL in each of these places: where it is still, nothing was taken.
    """
    k: Kernel = task.k
    kfree(task.worker_private)
    if task.mm is not None:
        mmput(task.mm)
    if task.signal != current.signal:
        kfree(task.signal)
    if task.sighand is not None:
        put_sighand(k, task.sighand.pa)
    if task.fs is not None:
        put_fs_struct(task.fs)
    if task.files is not None:
        put_files_struct(task.files)
    exit_sem(task)
    if task.user is not None:
        put_process_slot(task)
    _free_thread_stack(k, task.stack & PHYSICAL_MASK)
    kfree(task)


# ---- the steps of copy_process(), in order


def _check_flags(current: task_struct, flags: int) -> None:
    if not flags:
        return
    signal = current.signal
    assert signal is not None
    if (flags & (CLONE_NEWNS | CLONE_FS) == CLONE_NEWNS | CLONE_FS
            or flags & (CLONE_NEWUSER | CLONE_FS) == CLONE_NEWUSER | CLONE_FS
            or (flags & CLONE_THREAD and not flags & CLONE_SIGHAND)
            or (flags & CLONE_SIGHAND and not flags & CLONE_VM)
            # A child of init's parent would have nobody to reap it.
            or (flags & CLONE_PARENT and signal.flags & SIGNAL_UNKILLABLE)
            or (flags & CLONE_THREAD and flags & (CLONE_NEWUSER | CLONE_NEWPID))
            or flags & _NOT_HERE):
        raise SyscallError(Errno.EINVAL)


def dup_task_struct(current: task_struct) -> task_struct:
    """Copy the parent's task_struct but for what is its alone, and allocate a kernel stack."""
    k: Kernel = current.k
    u8, u32, source = k.u8, k.u32, current.pa
    pa = alloc_struct(k, task_struct)
    try:
        stack = _alloc_thread_stack(k)
    except OutOfFrames:
        free_struct(k, task_struct, pa)
        raise
    u8[pa : pa + _TASK_SIZE] = u8[source : source + _TASK_SIZE]
    u8[pa + _OWN : pa + _OWN_END] = _OWN_ZEROS
    k.u64[(pa >> 3) + _STACK] = stack + PAGE_OFFSET
    u32[stack >> 2] = STACK_END_MAGIC
    u32[(pa >> 2) + _USAGE] = 2  # one for the parent, which waits; one for finish_task_switch()
    return task_struct(k, pa)


def copy_creds(task: task_struct, current: task_struct) -> None:
    """Count the task for its user.

    Raises:
        SyscallError: EAGAIN: RLIMIT_NPROC is reached, and the user is not root.
    """
    k: Kernel = task.k
    user = user_struct(k, k.u64[(current.pa >> 3) + _USER] & PHYSICAL_MASK)
    if (k.u32[(current.pa >> 2) + _EUID] and user.uid
            and user.processes >= task_rlimit(current, RLIMIT_NPROC)):
        raise SyscallError(Errno.EAGAIN)
    get_process_slot(task, user)


def _init_own(task: task_struct) -> None:
    """Set what the child neither inherits nor begins with as zeros."""
    k: Kernel = task.k
    u32, u64, pa = k.u32, k.u64, task.pa
    _init_lists(u64, pa, _LIST_HEADS)
    w = pa >> 3
    u64[w + _DEFAULT_TIMER_SLACK] = u64[w + _TIMER_SLACK]
    u64[w + _TI_FLAGS] &= _NOT_PENDING
    flags = (pa >> 2) + _FLAGS
    u32[flags] = u32[flags] & ~(PF_SUPERPRIV | PF_IDLE | PF_SIGNALED) | PF_FORKNOEXEC


def copy_files(task: task_struct, current: task_struct, flags: int) -> None:
    """Share the table of open files, or copy it: the files themselves are shared."""
    k: Kernel = task.k
    va = k.u64[(current.pa >> 3) + _FILES]
    if va:
        files = files_struct(k, va & PHYSICAL_MASK)
        files = get_files_struct(files) if flags & CLONE_FILES else dup_fd(files)
        k.u64[(task.pa >> 3) + _FILES] = files.pa + PAGE_OFFSET


def copy_fs(task: task_struct, current: task_struct, flags: int) -> None:
    """Share root, working directory and umask, or copy them."""
    k: Kernel = task.k
    va = k.u64[(current.pa >> 3) + _FS]
    if va:
        fs = fs_struct(k, va & PHYSICAL_MASK)
        fs = get_fs_struct(fs) if flags & CLONE_FS else copy_fs_struct(fs)
        k.u64[(task.pa >> 3) + _FS] = fs.pa + PAGE_OFFSET


def copy_sighand(task: task_struct, current: task_struct, flags: int) -> None:
    """Share what is to be done about signals, or copy it."""
    k: Kernel = task.k
    hand = k.u64[(current.pa >> 3) + _SIGHAND] & PHYSICAL_MASK
    if flags & CLONE_SIGHAND:
        k.u32[(hand >> 2) + _SIGHAND_COUNT] += 1
    else:
        hand = dup_sighand(k, hand)
        if flags & CLONE_CLEAR_SIGHAND:
            flush_signal_handlers(k, hand)
    k.u64[(task.pa >> 3) + _SIGHAND] = hand + PAGE_OFFSET


def copy_signal(task: task_struct, current: task_struct, flags: int) -> None:
    """Make what the threads of a process share, unless the child is one more of them."""
    k: Kernel = task.k
    u8, u32, u64 = k.u8, k.u32, k.u64
    old = u64[(current.pa >> 3) + _SIGNAL] & PHYSICAL_MASK
    if flags & CLONE_THREAD:
        u64[(task.pa >> 3) + _SIGNAL] = old + PAGE_OFFSET
        return
    new = _new_signal(k)
    u8[new + _RLIM : new + _SIGNAL_SIZE] = u8[old + _RLIM : old + _SIGNAL_SIZE]
    u32[(new >> 2) + _HAS_SUBREAPER] = (
        u32[(old >> 2) + _HAS_SUBREAPER] | u32[(old >> 2) + _IS_SUBREAPER])
    u64[(task.pa >> 3) + _SIGNAL] = new + PAGE_OFFSET


def copy_mm(task: task_struct, current: task_struct, flags: int) -> None:
    """Share the address space, or copy it: pages are copied when one of the two writes there."""
    k: Kernel = task.k
    va = k.u64[(current.pa >> 3) + _MM]
    if not va:  # a kernel thread's child is one, too
        task.active_mm = k.data(vm_data).init_mm
        return
    oldmm = mm_struct(k, va & PHYSICAL_MASK)
    mm = mmget(oldmm) if flags & CLONE_VM else dup_mmap(oldmm)
    w = task.pa >> 3
    k.u64[w + _MM] = k.u64[w + _ACTIVE_MM] = mm.pa + PAGE_OFFSET
    if flags & CLONE_VM:
        task.rseq = task.rseq_len = task.rseq_sig = 0  # each thread registers its own
        # A child that shares memory but not the parent's stack must not use its alternate stack.
        if not flags & CLONE_VFORK:
            sas_ss_reset(task)


def copy_thread(task: task_struct, current: task_struct, args: kernel_clone_args) -> None:
    """Lay out the new kernel stack: pt_regs, and below it what __switch_to_asm pops."""
    k: Kernel = task.k
    u8, u64, w = k.u8, k.u64, task.pa >> 3
    regs = (u64[w + _STACK] & PHYSICAL_MASK) + _FROM_TOP
    frame = regs - _SWITCH_FRAME_SIZE
    u8[frame:regs] = _NO_REGISTERS
    u64[(regs >> 3) - 1] = k.symbols["ret_from_fork"]
    u64[w + _THREAD_SP] = frame + PAGE_OFFSET
    if args.fn:
        u8[regs : regs + _REGS_SIZE] = bytes(_REGS_SIZE)
        u64[(frame >> 3) + _RBX] = 1  # ret_from_fork: a kernel thread
        task.flags |= PF_KTHREAD
        task.comm = args.comm
        return
    source = (u64[(current.pa >> 3) + _STACK] & PHYSICAL_MASK) + _FROM_TOP
    u8[regs : regs + _REGS_SIZE] = u8[source : source + _REGS_SIZE]
    u64[(regs >> 3) + _AX] = 0
    if args.stack:
        u64[(regs >> 3) + _SP] = args.stack
    if args.flags & CLONE_SETTLS:
        if args.tls >= TASK_SIZE_MAX:
            raise SyscallError(Errno.EPERM)
        task.thread.fsbase = args.tls


def set_kthread_struct(task: task_struct, threadfn: int, data: int) -> None:
    """Make a new task a kernel thread: see process/kthread.py."""
    thread = kzalloc(task.k, kthread)
    task.worker_private = thread
    thread.threadfn, thread.data = threadfn, data
    init_waitqueue_head(thread.exited.wait)
    task.vfork_done = thread.exited


def _set_identity(task: task_struct, current: task_struct, args: kernel_clone_args,
                  number: pid) -> None:
    k: Kernel = task.k
    i32, u64, flags = k.i32, k.u64, args.flags
    i, w = task.pa >> 2, task.pa >> 3
    i32[i + _PID] = i32[i + _TGID] = pid_nr(number)
    if flags & CLONE_CHILD_SETTID:
        u64[w + _SET_CHILD_TID] = args.child_tid
    if flags & CLONE_CHILD_CLEARTID:
        u64[w + _CLEAR_CHILD_TID] = args.child_tid
    leader, parent, exit_signal = task.pa + PAGE_OFFSET, current.va, args.exit_signal
    if flags & (CLONE_PARENT | CLONE_THREAD):
        parent = u64[(current.pa >> 3) + _REAL_PARENT]
        first = u64[(current.pa >> 3) + _GROUP_LEADER]
        if flags & CLONE_THREAD:
            leader, exit_signal = first, -1
            i32[i + _TGID] = i32[(current.pa >> 2) + _TGID]
        else:
            exit_signal = i32[((first & PHYSICAL_MASK) >> 2) + _EXIT_SIGNAL]
    u64[w + _GROUP_LEADER] = leader
    u64[w + _REAL_PARENT] = u64[w + _PARENT] = parent
    i32[i + _EXIT_SIGNAL] = exit_signal
    u64[w + _START_TIME] = u64[w + _START_BOOTTIME] = ktime_get(k)


def _make_visible(task: task_struct, current: task_struct, number: pid, flags: int) -> None:
    k: Kernel = task.k
    u32, u64, w, va = k.u32, k.u64, task.pa >> 3, task.pa + PAGE_OFFSET
    signal = u64[w + _SIGNAL]
    if flags & CLONE_THREAD:
        s = (signal & PHYSICAL_MASK) >> 2
        u32[s + _SIGCNT] += 1
        u32[s + _LIVE] += 1
        u32[s + _SIGNAL_THREADS] += 1
        init_task_pid(task, PIDTYPE_PID, number)
        attach_pid(task, PIDTYPE_PID)
    else:
        list_add_tail_va(u64, va + _SIBLING, u64[w + _REAL_PARENT] + _CHILDREN)
        list_add_tail_va(u64, va + _TASKS, START_KERNEL_MAP + k.sched + _ALL_TASKS)
        attach_process(task, current, number)
        own = u64[(current.pa >> 3) + _SIGNAL] & PHYSICAL_MASK
        tty = u64[(own >> 3) + _TTY]
        if tty:
            inherit_tty(signal_struct(k, signal & PHYSICAL_MASK), tty)
    list_add_tail_va(u64, va + _THREAD_NODE, signal + _THREAD_HEAD)
    u32[(k.sched >> 2) + _NR_THREADS] += 1
    u64[(k.sched >> 3) + _TOTAL_FORKS] += 1


def _init_lists(u64: memoryview, pa: int, heads: tuple[int, ...]) -> None:
    """Make the lists at these offsets of a structure in the direct map empty."""
    for offset in heads:
        place = pa + offset
        u64[place >> 3] = u64[(place >> 3) + 1] = place + PAGE_OFFSET


def _new_signal(k: Kernel) -> int:
    """Return a signal_struct of one thread, without limits.

    Raises:
        OutOfFrames.
    """
    pa = alloc_struct(k, signal_struct)
    k.u8[pa : pa + _SIGNAL_SIZE] = bytes(_SIGNAL_SIZE)
    u32, i = k.u32, pa >> 2
    u32[i + _SIGCNT] = u32[i + _LIVE] = u32[i + _SIGNAL_THREADS] = 1
    _init_lists(k.u64, pa, _SIGNAL_LIST_HEADS)
    return pa


# ---- the references that a task holds


def dup_sighand(k: Kernel, old: int) -> int:
    """Return a copy of the sighand_struct at physical address ``old``, with one reference.

    Raises:
        OutOfFrames.
    """
    new = alloc_struct(k, sighand_struct)
    k.u8[new : new + _SIGHAND_SIZE] = k.u8[old : old + _SIGHAND_SIZE]
    k.u32[(new >> 2) + _SIGHAND_COUNT] = 1
    return new


def flush_signal_handlers(k: Kernel, hand: int) -> None:
    """Set all actions to the default, but leave ignored signals ignored.

    Args:
        hand: physical address of the sighand_struct.
    """
    start, end = hand + _ACTION, hand + _SIGHAND_SIZE
    step = k_sigaction.size >> 3
    handlers = k.u64[start >> 3 : end >> 3 : step].tolist()
    k.u8[start:end] = bytes(end - start)
    if SIG_IGN in handlers:
        for index, handler in enumerate(handlers):
            if handler == SIG_IGN:
                k.u64[(start >> 3) + index * step] = SIG_IGN


def put_sighand(k: Kernel, hand: int) -> None:
    """Drop a reference to the sighand_struct at ``hand``; the last one frees it."""
    _put(k, sighand_struct, hand, (hand >> 2) + _SIGHAND_COUNT)


def put_signal_struct(k: Kernel, signal: int) -> None:
    """Drop a reference to the signal_struct at ``signal``; the last one frees it."""
    _put(k, signal_struct, signal, (signal >> 2) + _SIGCNT)


def _put(k: Kernel, cls: type[Struct], pa: int, count: int) -> None:
    k.u32[count] = left = k.u32[count] - 1
    if not left:
        free_struct(k, cls, pa)


def task_pt_regs(task: task_struct) -> pt_regs:
    """Return the registers of ring 3, at the top of the task's kernel stack."""
    return pt_regs(task.k, (task.stack & PHYSICAL_MASK) + _FROM_TOP)


def put_task_struct(task: task_struct) -> None:
    """Drop a reference; the last one frees the structure."""
    k: Kernel = task.k
    u32, u64, i, w = k.u32, k.u64, task.pa >> 2, task.pa >> 3
    u32[i + _USAGE] = left = u32[i + _USAGE] - 1
    if left:
        return
    if not u32[i + _EXIT_STATE]:
        BUG(f"task {task.pid}: the last reference went while it lives")
    if u64[w + _SIGNAL]:
        put_signal_struct(k, u64[w + _SIGNAL] & PHYSICAL_MASK)
    if u64[w + _WORKER_PRIVATE]:
        free_struct(k, kthread, u64[w + _WORKER_PRIVATE] & PHYSICAL_MASK)
    free_struct(k, task_struct, task.pa)


def release_task_stack(task: task_struct) -> None:
    """Free the kernel stack of a task that will never run again."""
    _free_thread_stack(task.k, task.stack & PHYSICAL_MASK)
    task.stack = 0


def fill_stack_cache(k: Kernel) -> None:
    """Have some kernel stacks at hand.  When all other tasks have ended, they are here again."""
    for _ in range(NR_CACHED_STACKS):
        _free_thread_stack(k, alloc_pages(k, THREAD_SIZE_ORDER))


def _alloc_thread_stack(k: Kernel) -> int:
    """Return the physical address of a kernel stack: the last one that was freed, if it is there.

    Raises:
        OutOfFrames.
    """
    u64, place = k.u64, (k.sched >> 3) + _CACHED_STACKS
    for slot in range(place, place + NR_CACHED_STACKS):
        stack: int = u64[slot]
        if stack:
            u64[slot] = 0
            return stack
    return alloc_pages(k, THREAD_SIZE_ORDER)


def _free_thread_stack(k: Kernel, stack: int) -> None:
    u64, place = k.u64, (k.sched >> 3) + _CACHED_STACKS
    for slot in range(place, place + NR_CACHED_STACKS):
        if not u64[slot]:
            u64[slot] = stack
            return
    free_pages(k, stack, THREAD_SIZE_ORDER)


# System calls


@SYSCALL_DEFINE
def sys_fork(current: task_struct) -> int:
    """Make a child that is a copy of the caller.  See fork(2)."""
    return kernel_clone(current, _FORK)


@SYSCALL_DEFINE
def sys_ft_fork(current: task_struct) -> int:
    """Make a child that is a copy of the caller: fork under this project's own number.

    See: docs/processes.md, "The project's own calls".
    """
    return kernel_clone(current, _FORK)


@SYSCALL_DEFINE
def sys_vfork(current: task_struct) -> int:
    """Make a child that borrows the caller's memory until it execs or exits.  See vfork(2)."""
    return kernel_clone(current, kernel_clone_args(CLONE_VFORK | CLONE_VM, SIGCHLD))


@SYSCALL_DEFINE
def sys_clone(current: task_struct, clone_flags: ULong, newsp: ULong, parent_tidptr: UserPtr,
              child_tidptr: UserPtr, tls: ULong) -> int:
    """Make a child that shares with the caller what the flags say.  See clone(2).

    Limits: namespaces, process file descriptors (CLONE_PIDFD) and cgroups are not there: EINVAL.
    There is no ptrace(2): CLONE_PTRACE has nothing to act on, and CLONE_UNTRACED hides the child
    only from the front end's tracer.  CLONE_IO has nothing to share.
    """
    flags = clone_flags & 0xFFFF_FFFF
    return kernel_clone(current, kernel_clone_args(
        flags & ~CSIGNAL, flags & CSIGNAL, newsp, child_tidptr, parent_tidptr, tls))


@SYSCALL_DEFINE
def sys_clone3(current: task_struct, uargs: UserPtr, size: ULong) -> int:
    """Make a child that shares with the caller what the arguments say.  See clone3(2).

    Limits: as clone; a number cannot be chosen with ``set_tid``: EINVAL.
    """
    return kernel_clone(current, _copy_clone_args(current, uargs, size))


def _copy_clone_args(current: task_struct, uargs: int, size: int) -> kernel_clone_args:
    """Read and check a ``struct clone_args``.

    Raises:
        SyscallError: EFAULT.  E2BIG: it is longer than ours, and not zeros there.  EINVAL.
    """
    k: Kernel = current.k
    if size > 4096:
        raise SyscallError(Errno.E2BIG)
    if size < CLONE_ARGS_SIZE_VER0:
        raise SyscallError(Errno.EINVAL)
    raw = copy_from_user(k, uargs, size)
    if any(raw[CLONE_ARGS_SIZE:]):
        raise SyscallError(Errno.E2BIG)
    raw = raw[:CLONE_ARGS_SIZE].ljust(CLONE_ARGS_SIZE, b"\0")
    words = [int.from_bytes(raw[i : i + 8], "little") for i in range(0, CLONE_ARGS_SIZE, 8)]
    flags, _, child_tid, parent_tid, exit_signal, stack, stack_size, tls = words[:8]
    set_tid, set_tid_size = words[8:10]
    if set_tid or set_tid_size:
        raise SyscallError(Errno.EINVAL)
    if exit_signal & ~CSIGNAL or exit_signal > _NSIG:
        raise SyscallError(Errno.EINVAL)
    if (flags & ~(0xFFFF_FFFF | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)
            or flags & (CLONE_DETACHED | CSIGNAL & ~CLONE_NEWTIME)
            or flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND)
            == CLONE_SIGHAND | CLONE_CLEAR_SIGHAND
            or (flags & (CLONE_THREAD | CLONE_PARENT) and exit_signal)):
        raise SyscallError(Errno.EINVAL)
    if bool(stack) != bool(stack_size) or stack + stack_size > TASK_SIZE_MAX:
        raise SyscallError(Errno.EINVAL)
    return kernel_clone_args(flags, exit_signal, stack + stack_size, child_tid, parent_tid, tls)
