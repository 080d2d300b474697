"""The scheduler's core: waking, choosing and switching, for all classes.

``schedule()`` itself is assembly (asm/switch.asm); it asks :func:`pick_next_task` here whom to
switch to and does the switch.  The classes are in fair.py, rt.py, idle.py and ostep.py; what they
have in common, and what a turn is, in rq.py.

See: Linux kernel/sched/core.c.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from guest_kernel.errors import BUG
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.layout.sched import (
    DEFAULT_PRIO,
    IDLE_SCHED_CLASS,
    MAX_PRIO,
    MAX_RT_PRIO,
    NICE_0_LOAD,
    PREEMPT_DISABLED,
    RT_SCHED_CLASS,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_NORMAL,
    SCHED_RR,
    STACK_END_MAGIC,
    TASK_DEAD,
    TASK_IDLE,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NEW,
    TASK_NORMAL,
    TASK_RUNNING,
    TASK_STOPPED,
    TASK_UNINTERRUPTIBLE,
    TIF_NEED_RESCHED,
    WEIGHT_IDLEPRIO,
    WORK_SWITCH,
    pcpu_hot,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD
from guest_kernel.sched.fair import fair_sched_class
from guest_kernel.sched.idle import idle_sched_class
from guest_kernel.sched.options import POLICIES, Options
from guest_kernel.sched.ostep import OSTEP_CLASSES
from guest_kernel.sched.rq import (
    DEQUEUE_SAVE,
    DEQUEUE_SLEEP,
    ENQUEUE_HEAD,
    ENQUEUE_INITIAL,
    ENQUEUE_RESTORE,
    ENQUEUE_WAKEUP,
    RQ_CLOCK,
    RQ_CURR,
    RQ_HRTICK,
    RQ_IDLE,
    RQ_NORMAL_CLASS,
    RQ_NR_RUNNING,
    RQ_TURN_COST,
    TASK_CLASS,
    TASK_POLICY,
    TASK_TI_FLAGS,
    need_resched,
    resched_curr,
    runqueue,
    sched_class,
    start_turn,
)
from guest_kernel.sched.rt import rt_sched_class
from guest_kernel.time.hrtimer import NEVER, reprogram
from guest_kernel.time.timekeeping import ktime_get

__all__ = ["need_resched", "resched_curr", "runqueue"]  # part of this interface, from rq.py

# The classes, by *_SCHED_CLASS.
SCHED_CLASSES: Final[tuple[sched_class, ...]] = (
    rt_sched_class(), fair_sched_class(), idle_sched_class(), *OSTEP_CLASSES)

# In which order they are asked, by the class of the tasks that are not real-time.
_IN_ORDER: Final = tuple((SCHED_CLASSES[RT_SCHED_CLASS], normal, SCHED_CLASSES[IDLE_SCHED_CLASS])
                         for normal in SCHED_CLASSES)

# Weight by nice, from -20: each step is a factor of 1.25, about 10 % of the CPU between two tasks.
# Linux's numbers, kernel/sched/core.c sched_prio_to_weight: within 2.5 % of 1024 / 1.25**nice, by
# no rule of rounding.
sched_prio_to_weight: Final = (
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
)

# Which states may follow which; __state changes in set_task_state() alone.
_TRANSITIONS: Final = {
    TASK_RUNNING: {TASK_RUNNING, TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_KILLABLE,
                   TASK_IDLE, TASK_STOPPED, TASK_DEAD},
    TASK_INTERRUPTIBLE: {TASK_RUNNING, TASK_INTERRUPTIBLE},
    TASK_UNINTERRUPTIBLE: {TASK_RUNNING, TASK_UNINTERRUPTIBLE},
    TASK_KILLABLE: {TASK_RUNNING},
    TASK_IDLE: {TASK_RUNNING},
    TASK_STOPPED: {TASK_RUNNING},
    TASK_NEW: {TASK_RUNNING},
}


def set_task_state(task: task_struct, state: int) -> None:
    """Change ``task.__state``.

    Raises:
        KernelPanic: the change makes no sense from the present state.
    """
    u32, place = task.k.u32, (task.pa + _STATE) >> 2
    old = u32[place]
    if state not in _TRANSITIONS.get(old, ()):
        BUG(f"task {task.pid}: state {old:#x} cannot become {state:#x}")
    u32[place] = state


def task_state(task: task_struct) -> int:
    """Return ``task.__state``."""
    state: int = task.k.u32[(task.pa + _STATE) >> 2]
    return state


# Fields of a task, in bytes, but those that are charged; of the run queue, in words.
_STATE: Final = task_struct.offsetof("__state")
_STATE_U32: Final = _STATE >> 2
_ON_RQ_U32: Final = task_struct.offsetof("on_rq") >> 2
_PRIO: Final = task_struct.offsetof("prio") >> 2
_NORMAL_PRIO: Final = task_struct.offsetof("normal_prio") >> 2
_RESET_ON_FORK: Final = task_struct.offsetof("sched_reset_on_fork") >> 2
_CLASS: Final = TASK_CLASS >> 2
_NOT_NEED_RESCHED: Final = ~TIF_NEED_RESCHED & NEVER
_STACK: Final = task_struct.offsetof("stack")
_ON_CPU: Final = task_struct.offsetof("on_cpu")
_MM: Final = task_struct.offsetof("mm")
_ACTIVE_MM: Final = task_struct.offsetof("active_mm")
_UTIME: Final = task_struct.offsetof("utime") >> 3
_STIME: Final = task_struct.offsetof("stime") >> 3
_EXEC_START: Final = task_struct.offsetof("se.exec_start") >> 3
_SUM_EXEC: Final = task_struct.offsetof("se.sum_exec_runtime") >> 3
_LAST_QUEUED: Final = task_struct.offsetof("sched_info.last_queued") >> 3
_PGD: Final = mm_struct.offsetof("pgd")
_NEXT_TASK: Final = pcpu_hot.offsetof("next_task") >> 3
_NEXT_CR3: Final = pcpu_hot.offsetof("next_cr3")
_RING0_SINCE: Final = pcpu_hot.offsetof("ring0_since") >> 3
_RING0_TIME: Final = pcpu_hot.offsetof("ring0_time") >> 3
_PREV_DEAD: Final = pcpu_hot.offsetof("prev_dead") >> 3
_MM_USERS: Final = mm_struct.offsetof("mm_users")
_MM_COUNT: Final = mm_struct.offsetof("mm_count")
_INIT_MM: Final = vm_data.offsetof("init_mm")


_DEFAULTS: Final = Options()


def sched_init(k: Kernel, idle: task_struct, options: Options = _DEFAULTS) -> None:
    """Set up the run queue, with ``idle`` running."""
    queue = runqueue(k)
    for head in (*queue.rt.active.queue, *queue.ostep.queue):
        INIT_LIST_HEAD(head)
    queue.curr = queue.idle = idle
    queue.normal_class = POLICIES[options.policy]
    queue.quantum = options.quantum
    queue.ostep.nr_queues = options.queues
    queue.ostep.allotment = options.allotment
    queue.ostep.boost_period = options.boost
    queue.ostep.next_boost = ktime_get(k) + options.boost
    queue.hrtick = NEVER
    queue.turn_cost = _turn_cost(k)
    idle.prio = MAX_PRIO
    idle.static_prio = idle.normal_prio = DEFAULT_PRIO
    idle.sched_class = IDLE_SCHED_CLASS
    idle.se.load_weight = NICE_0_LOAD
    idle.se.slice = options.quantum  # every other task inherits it
    idle.se.exec_start = queue.clock = ktime_get(k)
    _ring0_time(k, queue.clock)
    k.data(pcpu_hot).preempt_count = PREEMPT_DISABLED


def _turn_cost(k: Kernel) -> int:
    """Return how many bytes of code lie between the choice of a task and ring 3, at most.

    The way of a task that was preempted in ring 3: through the rest of schedule(), do_host_work()
    and the return to user space.
    """
    symbols = k.symbols
    if "schedule" not in symbols:
        return 0  # no image, no code
    parts = (("fair_turn_begins", "fair_end"), ("schedule", "ret_from_fork"),
             ("do_host_work", "exit_work"), ("exit_work", "bad_iret"))
    return sum(symbols[end] - symbols[begin] for begin, end in parts)


# ---------------------------------------------------------------------------------- waking


def ttwu_do_activate(k: Kernel, task: int, flags: int) -> None:
    """Put the task at a physical address on the run queue, and decide whether it runs at once.

    Args:
        flags: ENQUEUE_*.
    """
    update_curr(k)
    u32, u64, q, t = k.u32, k.u64, k.rq_word, task >> 2
    if u32[t + _ON_RQ_U32]:
        BUG(f"task {task_struct(k, task).pid} is on the run queue already")
    u32[t + _ON_RQ_U32] = 1
    u32[2 * q + RQ_NR_RUNNING] += 1
    SCHED_CLASSES[u32[t + _CLASS]].enqueue_task(k, task, flags)
    u64[(task >> 3) + _LAST_QUEUED] = u64[q + RQ_CLOCK]
    if u64[q + RQ_HRTICK] == NEVER:
        curr = u64[q + RQ_CURR] & PHYSICAL_MASK  # it has to share from now on
        _begin_turn(k, SCHED_CLASSES[u32[(curr >> 2) + _CLASS]], curr)
    wakeup_preempt(k, task)


def _begin_turn(k: Kernel, kind: sched_class, curr: int) -> None:
    """Let the turn of the running task, of class ``kind``, begin."""
    if k.u32[2 * k.rq_word + RQ_NR_RUNNING] > 1:
        start_turn(k, kind.turn(k, curr))
    else:
        k.u64[k.rq_word + RQ_HRTICK] = NEVER


def wakeup_preempt(k: Kernel, task: int) -> None:
    """``task`` has become runnable: decide whether it should run instead of the running one."""
    u32 = k.u32
    curr = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
    kind, running = u32[(task >> 2) + _CLASS], u32[(curr >> 2) + _CLASS]
    if kind == running:
        SCHED_CLASSES[kind].wakeup_preempt(k, task)
    elif kind == RT_SCHED_CLASS or running == IDLE_SCHED_CLASS:
        resched_curr(k)


def try_to_wake_up(task: task_struct, state: int) -> bool:
    """Make ``task`` runnable if it sleeps in one of the states in ``state``.

    Returns:
        True if it was asleep.
    """
    k: Kernel = task.k
    u32, t = k.u32, task.pa >> 2
    if not u32[t + _STATE_U32] & state:
        return False
    set_task_state(task, TASK_RUNNING)
    if not u32[t + _ON_RQ_U32]:
        ttwu_do_activate(k, task.pa, ENQUEUE_WAKEUP)
    return True


def wake_up_process(task: task_struct) -> bool:
    """Wake ``task`` if it sleeps."""
    return try_to_wake_up(task, TASK_NORMAL)


def wake_up_new_task(task: task_struct) -> None:
    """Start a task that was just made."""
    set_task_state(task, TASK_RUNNING)
    ttwu_do_activate(task.k, task.pa, ENQUEUE_INITIAL)


# --------------------------------------------------------------------------------- a new task


def sched_fork(task: task_struct) -> None:
    """Set up what the scheduler knows of a new task, a copy that dup_task_struct() has made.

    It has the parent's policy and nice value, or with SCHED_RESET_ON_FORK the default ones where
    the parent's are better; not a priority that the parent has only for the moment.
    """
    k: Kernel = task.k
    pa, i32, w = task.pa, k.i32, task.pa >> 2
    i32[w + _STATE_U32] = TASK_NEW  # the first state; no transition leads to it
    reset = i32[w + _RESET_ON_FORK]
    if reset:
        if rt_policy(task.policy):
            task.policy, task.static_prio, task.rt_priority = SCHED_NORMAL, DEFAULT_PRIO, 0
        elif task.static_prio < DEFAULT_PRIO:
            task.static_prio = DEFAULT_PRIO
        task.sched_reset_on_fork = 0
        task.normal_prio = normal_prio(task)
        task.se.load_weight = weight_of(task)
    i32[w + _PRIO] = i32[w + _NORMAL_PRIO]  # not one that the parent has only for the moment
    i32[w + _CLASS] = index = class_of(task)
    kind = SCHED_CLASSES[index]
    if reset:
        kind.set_runtime(k, pa, 0)
    kind.task_fork(k, pa)


# ------------------------------------------------------------------------- policy and priority


def rt_policy(policy: int) -> bool:
    """Tell whether a policy is a real-time one."""
    return policy in (SCHED_FIFO, SCHED_RR)


def normal_prio(task: task_struct) -> int:
    """Return the priority that policy and nice value give: 0 to 139, lower is better."""
    if rt_policy(task.policy):
        return MAX_RT_PRIO - 1 - task.rt_priority
    return task.static_prio


def task_nice(task: task_struct) -> int:
    """Return the nice value, -20 to 19."""
    return task.static_prio - DEFAULT_PRIO


def weight_of(task: task_struct) -> int:
    """Return the weight that policy and nice value give."""
    if task.policy == SCHED_IDLE:
        return WEIGHT_IDLEPRIO
    return sched_prio_to_weight[task.static_prio - MAX_RT_PRIO]


def class_of(task: task_struct) -> int:
    """Return the class that the policy belongs to: *_SCHED_CLASS."""
    k: Kernel = task.k
    if rt_policy(k.u32[(task.pa + TASK_POLICY) >> 2]):
        return RT_SCHED_CLASS
    normal: int = k.u32[2 * k.rq_word + RQ_NORMAL_CLASS]
    return normal


def set_user_nice(task: task_struct, nice: int) -> None:
    """Change the nice value, -20 to 19; a real-time task keeps it for later."""
    k: Kernel = task.k
    if task_nice(task) == nice:
        return
    task.static_prio = DEFAULT_PRIO + nice
    if rt_policy(task.policy):
        return
    update_curr(k)
    before = task.prio
    task.prio = task.normal_prio = normal_prio(task)
    SCHED_CLASSES[task.sched_class].reweight_task(k, task.pa, weight_of(task))
    _prio_changed(task, before)


def _prio_changed(task: task_struct, before: int) -> None:
    """Look again who should run: the running task has got less, or a waiting one more."""
    k: Kernel = task.k
    if not task.on_rq:
        return
    if task == runqueue(k).curr:
        if task.prio > before:
            resched_curr(k)
    elif task.prio < before:
        wakeup_preempt(k, task.pa)


class Attributes(NamedTuple):
    """What sched_setattr(2) changes.

    Attributes:
        policy: SCHED_*.
        reset_on_fork: SCHED_RESET_ON_FORK.
        nice: of a task that is not real-time; None: as it is.
        priority: 1 to 99 of a real-time one, else 0.
        runtime: ns that it asks for at a time; 0: the default.
    """

    policy: int
    reset_on_fork: bool
    nice: int | None
    priority: int
    runtime: int


def set_attributes(task: task_struct, new: Attributes) -> None:
    """Change how ``task`` is scheduled, at once.  See Linux __sched_setscheduler()."""
    k: Kernel = task.k
    pa, queued, running = task.pa, task.on_rq, task == runqueue(k).curr
    update_curr(k)
    before, old_class = task.prio, task.sched_class
    if queued:
        SCHED_CLASSES[old_class].dequeue_task(k, pa, DEQUEUE_SAVE)
    task.policy, task.rt_priority = new.policy, new.priority
    task.sched_reset_on_fork = int(new.reset_on_fork)
    if new.nice is not None:
        task.static_prio = DEFAULT_PRIO + new.nice
    task.prio = task.normal_prio = normal_prio(task)
    task.se.load_weight = weight_of(task)
    task.sched_class = class_of(task)
    if not rt_policy(new.policy):
        SCHED_CLASSES[task.sched_class].set_runtime(k, pa, new.runtime)
    if queued:
        flags = ENQUEUE_RESTORE if task.sched_class == old_class else 0
        # A task that loses priority stays in front of its new equals, one that gains goes behind.
        flags |= ENQUEUE_HEAD if task.prio > before else 0
        SCHED_CLASSES[task.sched_class].enqueue_task(k, pa, flags)
    if not queued:
        return
    if running:
        _begin_turn(k, SCHED_CLASSES[task.sched_class], pa)
        if task.sched_class != old_class or task.prio > before:
            resched_curr(k)
    elif task.sched_class != old_class or task.prio < before:
        wakeup_preempt(k, task.pa)


# --------------------------------------------------------------------------------- running


def update_curr(k: Kernel) -> None:
    """Charge the running task for the time since the last call."""
    u64, q = k.u64, k.rq_word
    u64[q + RQ_CLOCK] = now = k.machine.clock
    curr = u64[q + RQ_CURR] & PHYSICAL_MASK
    w = curr >> 3
    delta = now - u64[w + _EXEC_START]
    if not delta:
        return
    u64[w + _EXEC_START] = now
    u64[w + _SUM_EXEC] += delta
    system = _ring0_time(k, now)
    u64[w + _STIME] += system
    u64[w + _UTIME] += delta - system
    SCHED_CLASSES[k.u32[(curr >> 2) + _CLASS]].update_curr(k, curr, delta)


def _ring0_time(k: Kernel, now: int) -> int:
    """Return how long ring 0 has run since the last call, in ns."""
    u64, w = k.u64, k.pcpu >> 3
    since, total = u64[w + _RING0_SINCE], u64[w + _RING0_TIME]
    u64[w + _RING0_TIME] = 0
    if not since:
        return total
    u64[w + _RING0_SINCE] = now
    return total + now - since


def scheduler_tick(k: Kernel) -> None:
    """A timer has interrupted: end the running task's turn if it is over."""
    update_curr(k)
    u64, q = k.u64, k.rq_word
    curr = u64[q + RQ_CURR] & PHYSICAL_MASK
    end = u64[q + RQ_HRTICK]
    if end == NEVER:
        return
    if u64[q + RQ_CLOCK] < end:
        # Another timer, or an event that was put off: the turn is longer by the interrupt.
        u64[q + RQ_HRTICK] = end + u64[q + RQ_TURN_COST]
        return
    u64[q + RQ_HRTICK] = NEVER
    kind = SCHED_CLASSES[k.u32[(curr >> 2) + _CLASS]]
    kind.task_tick(k, curr)
    if not need_resched(k):
        _begin_turn(k, kind, curr)


def yield_task(k: Kernel) -> None:
    """Let the others run first: sched_yield(2)."""
    if k.u32[2 * k.rq_word + RQ_NR_RUNNING] < 2:
        return
    update_curr(k)
    curr = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
    SCHED_CLASSES[k.u32[(curr + TASK_CLASS) >> 2]].yield_task(k, curr)
    if _pick_next_task(k, preempt=False):
        k.ask(WORK_SWITCH)


def preempt_schedule(k: Kernel) -> None:
    """Let the running task, which is runnable, give way when the present host call is over.

    The choice is made here and now, which saves the host call that schedule() would make.
    """
    if pick_next_task(k):
        k.ask(WORK_SWITCH)


def pick_next_task(k: Kernel, *, preempt: bool = False) -> bool:
    """Answer the assembly's schedule(): fill pcpu_hot.next_task and next_cr3.

    Args:
        preempt: the running task did not ask for it: it stays runnable whatever its state.

    Returns:
        False if nobody else is to run.
    """
    update_curr(k)
    return _pick_next_task(k, preempt)


def _pick_next_task(k: Kernel, preempt: bool) -> bool:
    u64, u32, q = k.u64, k.u32, k.rq_word
    prev_va, idle_va = u64[q + RQ_CURR], u64[q + RQ_IDLE]
    prev = prev_va & PHYSICAL_MASK
    p = prev >> 2
    if u32[(u64[(prev + _STACK) >> 3] & PHYSICAL_MASK) >> 2] != STACK_END_MAGIC:
        BUG(f"task {task_struct(k, prev).pid} has overrun its kernel stack")
    if u32[k.preempt_count_index] != (PREEMPT_DISABLED if prev_va == idle_va else 0):
        _schedule_bug(k, prev)
    kind = SCHED_CLASSES[u32[p + _CLASS]]
    state = u32[p + _STATE_U32]
    sleeps = state and not preempt and prev_va != idle_va
    if sleeps:
        u32[p + _ON_RQ_U32] = 0
        u32[2 * q + RQ_NR_RUNNING] -= 1
        kind.dequeue_task(k, prev, DEQUEUE_SLEEP)
        if state == TASK_DEAD:
            kind.task_dead(k, prev)
    for each in _IN_ORDER[u32[2 * q + RQ_NORMAL_CLASS]]:
        if task := each.pick_task(k):
            break
    u64[(prev + TASK_TI_FLAGS) >> 3] &= _NOT_NEED_RESCHED
    pcpu = k.pcpu >> 3
    if task == prev:
        u64[pcpu + _NEXT_TASK] = 0
        _begin_turn(k, kind, prev)
        return False
    next_va = idle_va if idle_va & PHYSICAL_MASK == task else task + PAGE_OFFSET
    next_kind = SCHED_CLASSES[u32[(task >> 2) + _CLASS]]
    if sleeps:
        u64[q + RQ_CURR] = next_va
        next_kind.set_next_task(k, task)
    elif kind is next_kind:
        u64[q + RQ_CURR] = next_va
        kind.put_prev_set_next_task(k, prev, task)
    else:
        kind.put_prev_task(k, prev)
        u64[q + RQ_CURR] = next_va
        next_kind.set_next_task(k, task)
    u64[pcpu + _NEXT_TASK] = next_va
    _switch_mm(k, prev, task)
    if state == TASK_DEAD:
        u64[pcpu + _PREV_DEAD] = prev_va
    if next_va == idle_va:
        u32[k.preempt_count_index] = PREEMPT_DISABLED
        u64[q + RQ_HRTICK] = NEVER
        reprogram(k)
        return True
    u32[k.preempt_count_index] = 0
    _begin_turn(k, next_kind, task)
    return True


def _schedule_bug(k: Kernel, prev: int) -> None:
    task = task_struct(k, prev)
    BUG(f"scheduling while atomic: {task.comm.decode('utf-8', 'replace')}/{task.pid}/"
        f"{k.u32[k.preempt_count_index]:#010x}")


def _switch_mm(k: Kernel, prev: int, task: int) -> None:
    """Name the page table to be loaded with ``task``; 0: the one that is loaded stays.

    A kernel thread has no address space, and runs on the kernel's half of the one that is loaded
    (``active_mm``): if the same program runs next, its translations are still there.  While it has
    borrowed one it holds a reference, ``mm_count``; init_mm, which never goes, is not counted.  A
    dead one is not lent, so that its table can be freed at once.

    See: Linux kernel/sched/core.c context_switch(), Documentation/mm/active_mm.rst.
    """
    u64, u32 = k.u64, k.u32
    mm, prev_mm = u64[(task + _MM) >> 3], u64[(prev + _MM) >> 3]
    if mm and prev_mm:
        u64[(k.pcpu + _NEXT_CR3) >> 3] = (
            0 if mm == prev_mm else u64[((mm & PHYSICAL_MASK) + _PGD) >> 3] & PHYSICAL_MASK)
        return
    active = u64[(prev + _ACTIVE_MM) >> 3]
    init_mm = START_KERNEL_MAP + (k.vm_word << 3) + _INIT_MM
    pa = active & PHYSICAL_MASK
    alive = active != init_mm and u32[(pa + _MM_USERS) >> 2]
    if alive and not prev_mm:
        u32[(pa + _MM_COUNT) >> 2] -= 1  # not the last: those who use it have one together
        u64[(prev + _ACTIVE_MM) >> 3] = 0
    if not mm:
        mm = u64[(task + _ACTIVE_MM) >> 3]
        if mm in (0, init_mm):  # else it has slept after exit_mm(), and holds its own
            mm = active if alive else init_mm
            u64[(task + _ACTIVE_MM) >> 3] = mm
            if alive:
                u32[(pa + _MM_COUNT) >> 2] += 1
    u64[(k.pcpu + _NEXT_CR3) >> 3] = (
        0 if mm == active else u64[((mm & PHYSICAL_MASK) + _PGD) >> 3] & PHYSICAL_MASK)
