"""Tasks and what they share: ``task_struct``, ``signal_struct``, the scheduler's structures.

See: Linux include/linux/sched.h, sched/signal.h, arch/x86/include/asm/processor.h.
"""

from typing import Final

from guest_kernel.layout.declare import (
    I32,
    I64,
    U8,
    U32,
    U64,
    Array,
    Chars,
    Embed,
    EmbedArray,
    Ptr,
    Struct,
    VoidPtr,
)
from guest_kernel.layout.fs import files_struct, fs_struct
from guest_kernel.layout.list import hlist_head, hlist_node, list_head
from guest_kernel.layout.mm_types import mm_struct
from guest_kernel.layout.rbtree import rb_node, rb_root_cached
from guest_kernel.layout.sem_types import sysv_sem
from guest_kernel.layout.signal import sigqueue, user_struct
from guest_kernel.layout.xarray import idr

THREAD_SIZE: Final = 16384  # a kernel stack
NR_CACHED_STACKS: Final = 2
STACK_END_MAGIC: Final = 0x57AC6E9D  # at the far end of each kernel stack
TASK_COMM_LEN: Final = 16
PID_MAX_DEFAULT: Final = 32768
PID_MAX_LIMIT: Final = 4 * 1024 * 1024
RESERVED_PIDS: Final = 300  # lower ones are not given out again after the first wrap
PIDNS_ADDING: Final = 1 << 31  # pid_namespace.pid_allocated: numbers may be given out

# What a number can be to a task.  See Linux enum pid_type.
PIDTYPE_PID: Final = 0  # the thread
PIDTYPE_TGID: Final = 1  # the process
PIDTYPE_PGID: Final = 2  # the process group
PIDTYPE_SID: Final = 3  # the session
PIDTYPE_MAX: Final = 4
ROBUST_LIST_HEAD_SIZE: Final = 24  # of ring 3's struct robust_list_head
ROBUST_LIST_OP_PENDING: Final = 16  # where its last member lies
CLONE_VM: Final = 0x0000_0100  # clone(2): share the address space
UIDHASH_SZ: Final = 8

# __state and exit_state: one bit each; 0 is runnable.
TASK_RUNNING: Final = 0x0000_0000
TASK_INTERRUPTIBLE: Final = 0x0000_0001
TASK_UNINTERRUPTIBLE: Final = 0x0000_0002
__TASK_STOPPED: Final = 0x0000_0004
__TASK_TRACED: Final = 0x0000_0008
EXIT_DEAD: Final = 0x0000_0010
EXIT_ZOMBIE: Final = 0x0000_0020
TASK_PARKED: Final = 0x0000_0040
TASK_DEAD: Final = 0x0000_0080
TASK_WAKEKILL: Final = 0x0000_0100
TASK_NOLOAD: Final = 0x0000_0400
TASK_NEW: Final = 0x0000_0800
TASK_KILLABLE: Final = TASK_WAKEKILL | TASK_UNINTERRUPTIBLE
TASK_STOPPED: Final = TASK_WAKEKILL | __TASK_STOPPED
TASK_TRACED: Final = __TASK_TRACED
TASK_IDLE: Final = TASK_UNINTERRUPTIBLE | TASK_NOLOAD
TASK_NORMAL: Final = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE

# task_struct.flags
PF_IDLE: Final = 0x0000_0002
PF_EXITING: Final = 0x0000_0004
PF_WQ_WORKER: Final = 0x0000_0020
PF_FORKNOEXEC: Final = 0x0000_0040
PF_SUPERPRIV: Final = 0x0000_0100
PF_DUMPCORE: Final = 0x0000_0200
PF_NPROC_EXCEEDED: Final = 0x0000_1000  # setuid(2) went beyond RLIMIT_NPROC
PF_SIGNALED: Final = 0x0000_0400
PF_KTHREAD: Final = 0x0020_0000
PF_RANDOMIZE: Final = 0x0040_0000

# signal_struct.flags
SIGNAL_STOP_STOPPED: Final = 0x0000_0001  # the group is stopped
SIGNAL_STOP_CONTINUED: Final = 0x0000_0002  # it was continued; waitpid(WCONTINUED) has not seen it
SIGNAL_GROUP_EXIT: Final = 0x0000_0004  # the group is ending
SIGNAL_CLD_STOPPED: Final = 0x0000_0010  # the parent is yet to be told of a stop
SIGNAL_CLD_CONTINUED: Final = 0x0000_0020  # the parent is yet to be told of a continuation
SIGNAL_CLD_MASK: Final = SIGNAL_CLD_STOPPED | SIGNAL_CLD_CONTINUED
SIGNAL_UNKILLABLE: Final = 0x0000_0040  # init: signals without a handler are ignored
SIGNAL_STOP_MASK: Final = SIGNAL_CLD_MASK | SIGNAL_STOP_STOPPED | SIGNAL_STOP_CONTINUED

# task_struct.jobctl; the low 16 bits hold the signal of a group stop.
JOBCTL_STOP_SIGMASK: Final = 0xFFFF
JOBCTL_STOP_DEQUEUED: Final = 1 << 16  # a stop signal was taken; SIGCONT takes it back
JOBCTL_STOP_PENDING: Final = 1 << 17  # the task is to stop for its group
JOBCTL_STOP_CONSUME: Final = 1 << 18  # when it does, it counts in group_stop_count
JOBCTL_STOPPED: Final = 1 << 26  # it is stopped
JOBCTL_PENDING_MASK: Final = JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME | JOBCTL_STOP_SIGMASK

# kthread.flags
KTHREAD_STARTED: Final = 1 << 0  # it has been woken for the first time
KTHREAD_SHOULD_STOP: Final = 1 << 1  # kthread_stop() waits for it

# thread_info.flags: work before the return to ring 3.
TIF_NOTIFY_RESUME: Final = 1 << 1
TIF_SIGPENDING: Final = 1 << 2
TIF_NEED_RESCHED: Final = 1 << 3
TIF_EXIT_WORK: Final = TIF_NOTIFY_RESUME | TIF_SIGPENDING | TIF_NEED_RESCHED

# thread_info.syscall_work
SYSCALL_WORK_SYSCALL_TRACE: Final = 1 << 2  # a tracer wants to see the call

# Priorities: 0 to 99 real-time (lower is better), 100 to 139 nice -20 to 19.
MAX_RT_PRIO: Final = 100
NICE_WIDTH: Final = 40
MAX_PRIO: Final = MAX_RT_PRIO + NICE_WIDTH
DEFAULT_PRIO: Final = MAX_RT_PRIO + NICE_WIDTH // 2
MIN_NICE: Final = -20
MAX_NICE: Final = 19
NICE_0_LOAD: Final = 1024
WEIGHT_IDLEPRIO: Final = 3  # of SCHED_IDLE

# Scheduling policies, sched(7).
SCHED_NORMAL: Final = 0
SCHED_FIFO: Final = 1
SCHED_RR: Final = 2
SCHED_BATCH: Final = 3
SCHED_IDLE: Final = 5
SCHED_DEADLINE: Final = 6
SCHED_RESET_ON_FORK: Final = 0x4000_0000

# task_struct.sched_class: an index of the table in sched/core.py.
RT_SCHED_CLASS: Final = 0
FAIR_SCHED_CLASS: Final = 1
IDLE_SCHED_CLASS: Final = 2
OSTEP_SCHED_CLASS: Final = 3  # the first of the teaching policies', see sched/ostep.py

# pcpu_hot.preempt_count, include/linux/preempt.h: how many reasons there are not to switch.
PREEMPT_MASK: Final = 0x0000_00FF  # preempt_disable()
SOFTIRQ_MASK: Final = 0x0000_FF00
HARDIRQ_MASK: Final = 0x000F_0000  # an interrupt is being served
NMI_MASK: Final = 0x00F0_0000
PREEMPT_OFFSET: Final = 0x0000_0001
HARDIRQ_OFFSET: Final = 0x0001_0000
PREEMPT_DISABLED: Final = PREEMPT_OFFSET  # the idle task's, always

# Resource limits, getrlimit(2): index in signal_struct.rlim.
RLIMIT_CPU: Final = 0
RLIMIT_FSIZE: Final = 1
RLIMIT_DATA: Final = 2
RLIMIT_STACK: Final = 3
RLIMIT_CORE: Final = 4
RLIMIT_RSS: Final = 5
RLIMIT_NPROC: Final = 6
RLIMIT_NOFILE: Final = 7
RLIMIT_MEMLOCK: Final = 8
RLIMIT_AS: Final = 9
RLIMIT_LOCKS: Final = 10
RLIMIT_SIGPENDING: Final = 11
RLIMIT_MSGQUEUE: Final = 12
RLIMIT_NICE: Final = 13
RLIMIT_RTPRIO: Final = 14
RLIMIT_RTTIME: Final = 15
RLIM_NLIMITS: Final = 16
RLIM_INFINITY: Final = (1 << 64) - 1

_NSIG: Final = 64


# The states that ps(1) and /proc/<pid>/status show, from __state | exit_state: running, then bit 0
# and so on.  See Linux fs/proc/array.c.
TASK_STATE_ARRAY: Final = (
    "R (running)", "S (sleeping)", "D (disk sleep)", "T (stopped)", "t (tracing stop)", "X (dead)",
    "Z (zombie)", "P (parked)", "I (idle)",
)


class thread_info(Struct):
    """Flags that the entry code looks at; first in ``task_struct``, so that it finds them."""

    flags = U64("TIF_*", writer="both")
    syscall_work = U64("SYSCALL_WORK_*: not 0: every call goes to the hosted half")
    status = U32("thread-synchronous flags; unused")
    cpu = U32("the CPU that it runs on: 0")


class sched_entity(Struct):
    """A task as the fair scheduler sees it; a child has its parent's up to ``custom_slice``."""

    load_weight = U64("weight from nice; 1024 is nice 0")
    slice = U64("what it asks for at a time, ns")
    custom_slice = U32("1: slice was set by sched_setattr(2)")
    on_rq = U32("1: it is on a run queue")
    run_node = Embed(rb_node, "its place in cfs_rq.tasks_timeline, by deadline")
    deadline = I64("virtual time at which its request is to be served, ns")
    group_node = Embed(list_head, "teaching policies: its place in ostep_rq.queue")
    exec_start = U64("when it was last charged, ns")
    sum_exec_runtime = U64("CPU time it has had, ns")
    prev_sum_exec_runtime = U64("the same when it was last picked")
    vruntime = I64("virtual run time, ns at nice 0")
    vlag = I64("on a queue: its deadline when it was picked; off: its lag when it left, ns")


class sched_rt_entity(Struct):
    """A task as the real-time scheduler sees it."""

    run_list = Embed(list_head, "its place in the queue of its priority")
    time_slice = I64("ns left of a SCHED_RR turn")
    on_rq = U32("1: it is on a run queue")


class sched_ostep_entity(Struct):
    """A task as the teaching policies see it: see sched/ostep.py."""

    time_slice = I64("ns left of its turn; 0: it gets a new one")
    job_end = U64("sjf, stcf: sum_exec_runtime at which it says it will be done")
    level = U32("mlfq: the queue it is in, 0 the topmost")
    boosts = U32("mlfq: ostep_rq.boosts when its level was last right")
    used = U64("mlfq: ns of the level's allotment that it has used")
    pass_value = U64("stride: how far it has come")


class sched_info(Struct):
    """Statistics of scheduling."""

    pcount = U64("times that it was put on the CPU")
    run_delay = U64("ns waited on a run queue")
    last_arrival = U64("when it last got the CPU")
    last_queued = U64("when it was last queued")


class restart_block(Struct):
    """What a system call must remember while it sleeps.  See errors.Sleep."""

    fn = U64("the call that owns the block, as its number + 1; 0: nobody sleeps")
    restart = U64("the same, for restart_syscall(2)")
    expires = U64("deadline of the sleep, monotonic ns; all ones: none")
    rmtp = VoidPtr("user address for the time that is left")
    clockid = I32("the clock of the deadline")
    type = U32("TT_* kind of rmtp")
    arg = Array(U64, 4, "anything else that the call needs")
    filp = VoidPtr("the open file that a sleeping read or write goes on with; referenced")
    regs = Array(U64, 8, "restart: the call's pt_regs from r10 to di, for the arguments among them")


class thread_struct(Struct):
    """What __switch_to saves."""

    sp = U64("kernel stack pointer while it does not run", writer="asm")
    fsbase = U64("FS base", writer="both")
    gsbase = U64("GS base of user space", writer="both")
    cr2 = U64("address of the last page fault that became a signal")
    trap_nr = U64("its vector")
    error_code = U64("its error code")


class wait_queue_head(Struct):
    """Tasks that wait for one thing."""

    head = Embed(list_head, "wait_queue_entry.entry of each")


class wait_queue_entry(Struct):
    """One task on one queue."""

    flags = U32("WQ_FLAG_*")
    private = VoidPtr("the task")
    entry = Embed(list_head, "its place in the queue")
    more = Ptr(lambda: wait_queue_entry, "the same task's next one, on another queue; NULL")
    filp = VoidPtr("poll(): the file whose queue it is, referenced (Linux: poll_table_entry's)")


class hrtimer(Struct):
    """A timer with nanosecond resolution."""

    node = Embed(rb_node, "its place in hrtimer_clock_base.active, by expires")
    expires = U64("when it expires, ns of its base's clock")
    function = U32("HrtimerFn: what to do when it expires")
    is_queued = U32("1: it is in the tree")
    data = VoidPtr("what the function works on")
    base = U32("HRTIMER_BASE_*: whose tree")


HRTIMER_BASE_MONOTONIC: Final = 0
HRTIMER_BASE_REALTIME: Final = 1
HRTIMER_MAX_CLOCK_BASES: Final = 2


class hrtimer_clock_base(Struct):
    """The timers of one clock.  See Linux include/linux/hrtimer_defs.h."""

    index = U32("HRTIMER_BASE_*")
    active = Embed(rb_root_cached, "those armed, by expires")


class hrtimer_cpu_base(Struct):
    """The timers of a CPU: a queue for each clock, and the one comparator above them."""

    active_bases = U32("bit n: clock_base[n] is not empty")
    expires_next = U64("what the comparator is set to, monotonic ns; all ones: nothing")
    clock_base = EmbedArray(hrtimer_clock_base, HRTIMER_MAX_CLOCK_BASES, "by HRTIMER_BASE_*")


CPUCLOCK_PROF: Final = 0  # user and system time
CPUCLOCK_VIRT: Final = 1  # user time
CPUCLOCK_SCHED: Final = 2  # what the scheduler has charged
CPUCLOCK_MAX: Final = 3


class cpu_timer(Struct):
    """A timer on CPU time."""

    node = Embed(rb_node, "its place in posix_cputimers.bases, by expires")
    expires = U64("when it expires, ns of CPU time; 0: it is off")
    head = VoidPtr("the tree that it is in; NULL: in none", ctype="struct rb_root_cached *")
    sleeper = Ptr(lambda: task_struct, "clock_nanosleep(2): who is to be woken; NULL: a k_itimer's")


class posix_cputimers(Struct):
    """Timers on the CPU time of a thread or a process.  See Linux include/linux/posix-timers.h."""

    bases = EmbedArray(rb_root_cached, CPUCLOCK_MAX, "cpu_timer.node by expires, by CPUCLOCK_*")


class cpu_itimer(Struct):
    """An interval timer on CPU time, setitimer(2)."""

    expires = U64("when it expires, ns of the process's CPU time; 0: it is off")
    incr = U64("the interval, ns; 0: it expires once")


class completion(Struct):
    """Something that is done once, and who waits for it."""

    done = U32("1: it is done")
    wait = Embed(wait_queue_head, "who waits")


class kthread(Struct):
    """A kernel thread, as kthread_create() and kthread_stop() see it."""

    flags = U32("KTHREAD_*")
    result = I32("what its function has returned")
    threadfn = U64("KthreadFn, or the address of its function in the image")
    data = U64("its argument")
    exited = Embed(completion, "done when it has ended")


class kthread_create_info(Struct):
    """A kernel thread that kthreadd is asked to make."""

    threadfn = U64("its function, see kthread.threadfn")
    data = U64("its argument")
    comm = Chars(TASK_COMM_LEN, "its name")
    result = Ptr(lambda: task_struct, "the thread; NULL: it could not be made")
    error = I32("why not, as an errno; 0")
    done = Embed(completion, "kthreadd has answered")
    nowait = U32("1: nobody sleeps on done, and the thread runs at once")
    list = Embed(list_head, "its place in kthread_create_list")


class k_sigaction(Struct):
    """What to do about a signal, as rt_sigaction(2) has it."""

    handler = U64("SIG_DFL 0, SIG_IGN 1, or a user address")
    flags = U64("SA_*")
    restorer = U64("user address that the handler returns to")
    mask = U64("signals blocked while it runs")


class sigpending(Struct):
    """Signals that wait for delivery."""

    list = Embed(list_head, "queued siginfo, sigqueue.list")
    signal = U64("set of those pending; bit n - 1 is signal n")


class sighand_struct(Struct):
    """Signal handlers, shared by threads."""

    count = U32("tasks that use it")
    action = EmbedArray(k_sigaction, _NSIG, "by signal - 1")


class rlimit(Struct):
    """A resource limit."""

    rlim_cur = U64("soft limit")
    rlim_max = U64("hard limit")


class signal_struct(Struct):
    """What a thread group shares beside its handlers."""

    sigcnt = U32("references")
    live = U32("threads that have not exited")
    nr_threads = I32("threads that exist")
    quick_threads = I32("unused")
    thread_head = Embed(list_head, "task_struct.thread_node of each thread")
    wait_chldexit = Embed(wait_queue_head, "parents in wait4(2) for a child of the group")
    shared_pending = Embed(sigpending, "signals to the group")
    group_exit_code = I32("status of the whole group, once set")
    group_stop_count = I32("threads that have yet to stop")
    flags = U32("SIGNAL_*")
    is_child_subreaper = U32("PR_SET_CHILD_SUBREAPER")
    has_child_subreaper = U32("an ancestor is one")
    pids = Array(U64, PIDTYPE_MAX, "the group's, by PIDTYPE_*; PIDTYPE_PID is unused",
                 ctype="struct pid *")
    leader = U32("session leader")
    tty = VoidPtr("its controlling terminal; referenced; or NULL", ctype="struct tty_struct *")
    tty_old_pgrp = Ptr(lambda: pid, "a leader's: foreground group of the one it has lost")
    notify_count = I32("execve(2): threads that must end first")
    group_exec_task = Ptr(lambda: task_struct, "the thread in execve(2), which ends the others")
    curr_target = Ptr(lambda: task_struct, "the thread that got the last signal to the group")
    utime = U64("user time of threads that have exited, ns")
    stime = U64("system time of the same")
    nvcsw = U64("voluntary switches of exited threads")
    nivcsw = U64("involuntary ones")
    min_flt = U64("faults without I/O, of exited threads")
    maj_flt = U64("faults with I/O")
    cutime = U64("user time of children waited for, ns")
    cstime = U64("system time of the same")
    cnvcsw = U64("voluntary switches of children waited for")
    cnivcsw = U64("involuntary ones")
    cmin_flt = U64("faults without I/O, of children waited for")
    cmaj_flt = U64("faults with I/O")
    maxrss = U64("pages")
    cmaxrss = U64("pages, of children waited for")
    has_timers = U32("not 0: it may have timers, which exit(2) has to look for")
    next_posix_timer_id = I32("number of the next timer_create(2)")
    posix_timers = Embed(hlist_head, "k_itimer.list of those made by timer_create(2)")
    real_timer = Embed(hrtimer, "ITIMER_REAL")
    it_real_incr = U64("its interval, ns; 0: it expires once")
    it = EmbedArray(cpu_itimer, CPUCLOCK_VIRT + 1, "ITIMER_PROF and ITIMER_VIRTUAL, by CPUCLOCK_*")
    posix_cputimers = Embed(posix_cputimers, "timers on the CPU time of the process")
    rlim = EmbedArray(rlimit, RLIM_NLIMITS, "resource limits, by RLIMIT_*")
    cpu_limited = U32("1: RLIMIT_CPU may be finite; inherited as rlim is")


class pid_namespace(Struct):
    """A set of process numbers.  See Linux include/linux/pid_namespace.h."""

    idr = Embed(idr, "struct pid by number")
    pid_allocated = U32("numbers in use, and PIDNS_ADDING")
    child_reaper = Ptr(lambda: task_struct, "pid 1, which gets children whose parent has ended")
    level = U32("0: there is one namespace")
    parent = Ptr(lambda: pid_namespace, "NULL")


class upid(Struct):
    """A number in a namespace."""

    nr = I32("the number")
    ns = Ptr(lambda: pid_namespace, "init_pid_ns")


class pid(Struct):
    """A process number, and who has it as what.  See Linux include/linux/pid.h."""

    count = U32("references")
    level = U32("the last index of numbers: 0")
    tasks = EmbedArray(hlist_head, PIDTYPE_MAX, "who has it, through pid_links, by PIDTYPE_*")
    inodes = Embed(hlist_head, "proc's about its process, through sibling_inodes")
    numbers = EmbedArray(upid, 1, "the number, by level of namespace")


class task_struct(Struct):
    """A task: a thread, and with its group a process.  See Linux include/linux/sched.h.

    The fields are in an order of their own: first what a child has as its parent has it, or gets
    from copy_process(); then, from ``se.on_rq`` up to ``fxsave``, what it begins with as zeros.
    """

    thread_info = Embed(thread_info, "flags for the entry code; must be first", writer="both")
    __state = U32("TASK_*; changed by set_task_state() only")
    saved_state = U32("unused")
    stack = VoidPtr("lowest address of its kernel stack")
    usage = U32("references")
    flags = U32("PF_*")
    prio = I32("effective priority")
    static_prio = I32("priority from nice")
    normal_prio = I32("priority from policy and nice")
    rt_priority = U32("1 to 99 for SCHED_FIFO and SCHED_RR")
    policy = U32("SCHED_*")
    sched_class = U32("*_SCHED_CLASS: who schedules it")
    sched_reset_on_fork = U32("1: its children begin with the default policy")
    personality = U32("PER_LINUX: 0")
    cpus_mask = U64("CPUs that it may run on")
    exit_signal = I32("signal to the parent; -1: a thread that is not the leader")
    pid = I32("its number")
    tgid = I32("its group's number")
    stack_canary = U64("unused: no compiled C code in the kernel")
    real_parent = Ptr(lambda: task_struct, "who forked it, or its reaper")
    parent = Ptr(lambda: task_struct, "who gets SIGCHLD: real_parent or a tracer")
    group_leader = Ptr(lambda: task_struct, "the first thread of its group")
    start_time = U64("monotonic ns")
    start_boottime = U64("boot-based ns")
    uid = U32("real user ID")
    gid = U32("real group ID")
    euid = U32("effective user ID")
    egid = U32("effective group ID")
    suid = U32("saved user ID")
    sgid = U32("saved group ID")
    fsuid = U32("user ID for file access")
    fsgid = U32("group ID for file access")
    comm = Chars(TASK_COMM_LEN, "name of the executable, or as set by prctl(2)")
    blocked = U64("signals that are blocked")
    sas_ss_sp = U64("alternate signal stack: base")
    sas_ss_size = U64("its size")
    sas_ss_flags = U32("SS_*")
    no_new_privs = U32("1: PR_SET_NO_NEW_PRIVS; cannot be taken back")
    rseq = VoidPtr("user address of struct rseq")
    rseq_len = U32("its size")
    rseq_sig = U32("the signature before abort handlers")
    timer_slack_ns = U64("PR_SET_TIMERSLACK")
    default_timer_slack_ns = U64("what PR_SET_TIMERSLACK of 0 means: the parent's, at the fork")
    thread = Embed(thread_struct, "registers while it does not run", writer="both")
    se = Embed(sched_entity, "fair scheduler")

    # Not inherited, nor is ``se`` from ``on_rq`` on.
    rt = Embed(sched_rt_entity, "real-time scheduler")
    ostep = Embed(sched_ostep_entity, "teaching policies")
    on_cpu = I32("1: it is running")
    on_rq = I32("1: it is runnable and queued")
    ptrace = U32("PT_*; 0: not traced")
    in_execve = U32("1: between point of no return and ring 3")
    exit_state = I32("EXIT_ZOMBIE, EXIT_DEAD or 0")
    exit_code = I32("wait status")
    pdeath_signal = I32("signal when the parent dies")
    restore_sigmask = U32("1: saved_sigmask holds what is to be restored")
    jobctl = U64("JOBCTL_*")
    sched_info = Embed(sched_info, "statistics")
    tasks = Embed(list_head, "all processes, from init_task.tasks")
    mm = Ptr(lambda: mm_struct, "its address space; NULL for a kernel thread")
    active_mm = Ptr(lambda: mm_struct, "whose page table it runs on")
    children = Embed(list_head, "sibling of each child")
    sibling = Embed(list_head, "its place in parent.children")
    thread_pid = Ptr(lambda: pid, "its struct pid")
    pid_links = EmbedArray(hlist_node, PIDTYPE_MAX, "its place in pid.tasks, by PIDTYPE_*")
    thread_node = Embed(list_head, "its place in signal.thread_head")
    vfork_done = Ptr(lambda: completion, "what a vfork parent sleeps on")
    vfork = Embed(completion, "vfork_done of the child that this task waits for")
    set_child_tid = VoidPtr("user address: CLONE_CHILD_SETTID")
    clear_child_tid = VoidPtr("user address: CLONE_CHILD_CLEARTID, set_tid_address(2)")
    utime = U64("time in ring 3, ns")
    stime = U64("time in ring 0, ns")
    nvcsw = U64("voluntary context switches")
    nivcsw = U64("involuntary context switches")
    min_flt = U64("page faults without I/O")
    maj_flt = U64("page faults with I/O")
    posix_cputimers = Embed(posix_cputimers, "timers on its CPU time")
    cpu_sleep = Embed(cpu_timer, "wakes it from a sleep on a CPU clock")
    user = Ptr(lambda: user_struct, "what its real user ID is counted under")
    sysvsem = Embed(sysv_sem, "System V semaphores that it has to undo, or sleeps on")
    fs = Ptr(lambda: fs_struct, "root, working directory, umask")
    files = Ptr(lambda: files_struct, "open files")
    signal = Ptr(lambda: signal_struct, "shared by the thread group")
    sighand = Ptr(lambda: sighand_struct, "signal handlers")
    real_blocked = U64("signals that are blocked, while sigtimedwait(2) changes it")
    saved_sigmask = U64("to restore after sigsuspend(2)")
    pending = Embed(sigpending, "signals to this thread")
    sigqueue_cache = Ptr(lambda: sigqueue, "kept for the next signal that it sends, or NULL",
                         writer="both")
    robust_list = VoidPtr("user address of the robust futex list head")
    restart_block = Embed(restart_block, "state of a sleeping system call")
    wait = Embed(wait_queue_entry, "the first queue it sleeps on; private is NULL: there is none")
    sleep_timer = Embed(hrtimer, "wakes it from a sleep with a deadline")
    worker_private = Ptr(lambda: kthread, "kernel thread: what is known of it as one")
    kthread_create = Ptr(lambda: kthread_create_info, "the thread that it waits to be made")

    # Inherited.
    fxsave = Array(U8, 512, "FPU and SSE state, FXSAVE64's format", writer="asm", align=16)


class cfs_rq(Struct):
    """The fair scheduler's part of the run queue."""

    nr_running = U32("runnable fair tasks, the running one counted")
    avg_vruntime = I64("sum over the tree of (vruntime - zero_vruntime) * load_weight")
    avg_load = U64("sum of load_weight over the tree")
    zero_vruntime = I64("from where avg_vruntime counts, ns")
    tasks_timeline = Embed(rb_root_cached, "tasks that wait, by deadline; not the running one")


class rt_prio_array(Struct):
    """Real-time tasks by priority."""

    bitmap = Array(U64, 2, "bit n: queue n is not empty")
    queue = EmbedArray(list_head, MAX_RT_PRIO, "sched_rt_entity.run_list; 0 is the highest")


class rt_rq(Struct):
    """The real-time scheduler's part of the run queue."""

    active = Embed(rt_prio_array, "all runnable ones, the running one too")
    rt_nr_running = U32("how many they are")


NR_OSTEP_QUEUES: Final = 16


class ostep_rq(Struct):
    """The teaching policies' part of the run queue: see sched/ostep.py."""

    nr_running = U32("runnable tasks, the running one counted")
    nr_queues = U32("mlfq: queues in use")
    allotment = U64("mlfq: ns at a level, after which a task sinks")
    boost_period = U64("mlfq: ns after which all rise to the topmost queue; 0: never")
    next_boost = U64("mlfq: when they rise next, monotonic ns")
    boosts = U32("mlfq: how often they have risen")
    global_pass = U64("stride: pass value of the task that was picked last")
    queue = EmbedArray(list_head, NR_OSTEP_QUEUES, "sched_entity.group_node of runnable tasks")


class rq(Struct):
    """The run queue."""

    nr_running = U32("runnable tasks, the running one counted, the idle one not")
    normal_class = U32("*_SCHED_CLASS of tasks that are not real-time")
    nr_switches = U64("context switches")
    clock = U64("ns, read once per scheduling decision")
    quantum = U64("length of a turn, ns: the fair slice that nobody has chosen")
    turn_cost = U64("ns of code from schedule() to ring 3, at most")
    hrtick = U64("when the running task's turn ends, monotonic ns; all ones: it need not")
    curr = Ptr(lambda: task_struct, "the running task")
    idle = Ptr(lambda: task_struct, "the idle task")
    cfs = Embed(cfs_rq, "SCHED_NORMAL, SCHED_BATCH, SCHED_IDLE")
    rt = Embed(rt_rq, "SCHED_FIFO, SCHED_RR")
    ostep = Embed(ostep_rq, "in place of cfs, if the command line says so")


class timezone(Struct):
    """A time zone, as gettimeofday(2) has it."""

    tz_minuteswest = I32("minutes west of Greenwich")
    tz_dsttime = I32("kind of summer time: DST_*")


class cpumask(Struct):
    """A set of CPUs."""

    bits = Array(U64, 1, "bit n: CPU n")


class sched_data(Struct):
    """The scheduler's and the process table's globals."""

    init_task = Embed(task_struct, "pid 0, swapper: the idle task")
    runqueues = Embed(rq, "the run queue of CPU 0")
    __cpu_possible_mask = Embed(cpumask, "CPUs that there may be: CPU 0")
    __cpu_present_mask = Embed(cpumask, "CPUs that there are")
    __cpu_online_mask = Embed(cpumask, "CPUs that tasks run on")
    nr_threads = I32("tasks, the idle one not counted")
    pid_max = I32("process numbers are less than this")
    init_pid_ns = Embed(pid_namespace, "all process numbers")
    total_forks = U64("tasks ever created")
    hrtimer_bases = Embed(hrtimer_cpu_base, "active timers")
    cputime_event = Embed(hrtimer, "current's next timer on CPU time")
    sys_tz = Embed(timezone, "what settimeofday(2) has set")
    tz_was_set = U32("1: settimeofday(2) has set sys_tz once")
    xtime_base = U64("wall-clock ns at clock 0: how far HRTIMER_BASE_REALTIME is ahead")
    boot_seed = U64("seed of the random generator")
    uidhash_table = Array(U64, UIDHASH_SZ, "chains of user_struct, by user ID",
                          ctype="struct hlist_head")
    max_threads = I32("at most so many tasks")
    cached_stacks = Array(U64, NR_CACHED_STACKS, "kernel stacks at hand, physical; or 0")
    random_counter = U64("blocks of 64 bytes that the generator has given")
    kthreadd_task = Ptr(lambda: task_struct, "pid 2")
    kthread_create_list = Embed(list_head, "kthread_create_info that kthreadd has yet to serve")


class pcpu_hot(Struct):
    """The per-CPU area that GS points to in ring 0.  See Linux arch/x86/include/asm/current.h."""

    current_task = Ptr(lambda: task_struct, "the running task", writer="asm")
    top_of_stack = VoidPtr("end of its kernel stack: RSP on entry from ring 3", writer="asm")
    user_sp = U64("scratch: RSP of ring 3 during entry", writer="asm")
    work = U64("what the hosted half asks of the assembly after a host call: WORK_*")
    flush_va = U64("WORK_FLUSH_ONE: the page")
    next_task = Ptr(lambda: task_struct, "schedule(): whom to switch to; NULL: nobody else")
    next_cr3 = U64("page table to load with it; 0: keep")
    cr2 = U64("faulting address of the last page fault", writer="asm")
    regs = VoidPtr("registers at the event that made the host call", writer="asm",
                   ctype="struct pt_regs *")
    init_cr3 = U64("page table that start_kernel built")
    prev_dead = Ptr(lambda: task_struct, "a dead task that was switched from; its stack is free")
    preempt_count = U32("not 0: no preemption; PREEMPT_MASK, HARDIRQ_MASK", writer="both")
    arg = I64("argument, and result, of a host call by a routine of the image", writer="both")
    ring0_since = U64("the clock when ring 0 began to run, or was charged for last; 0: ring 3 runs",
                      writer="both")
    ring0_time = U64("ns in ring 0 before that, not charged for", writer="both")
    cputimers_active = U64("armed timers on CPU time, of all tasks, and CPU_LIMITS; 0: a switch "
                           "need not look")
    hosted_only = U64("not 0: the assembly leaves to the hosted half what both can do")
    dup_mm = VoidPtr("fork: the copy of current's mm that is ready, | 1: to be dropped; or 0",
                     writer="both")
    prev_mm = Ptr(lambda: mm_struct, "WORK_EXEC_MM: what execve has left, to be dropped")


CPU_LIMITS: Final = 1 << 32  # in cputimers_active: somebody has set RLIMIT_CPU, once for all

WORK_SCHEDULE: Final = 1  # the task sleeps: switch, then make the host call again
WORK_FLUSH_ONE: Final = 2  # INVLPG flush_va
WORK_FLUSH_ALL: Final = 4  # reload CR3
WORK_FLUSH_GLOBAL: Final = 8  # global entries too
WORK_LOAD_BASES: Final = 16  # load FS and GS bases from thread
WORK_TO_USER: Final = 32  # a kernel thread has become a program
WORK_LOAD_CR3: Final = 128  # load next_cr3: the task has a new address space
WORK_LOAD_FPU: Final = 64  # load the FPU and SSE state from fxsave
WORK_SWITCH: Final = 256  # pcpu_hot.next_task was picked in this host call: switch to it
WORK_EXEC_MM: Final = 1024  # and then drop prev_mm
WORK_CALL_FN: Final = 512  # call the kernel thread's routine
