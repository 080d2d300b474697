"""SCHED_NORMAL, SCHED_BATCH and SCHED_IDLE: earliest eligible virtual deadline first.

Each task asks for a slice of CPU time again and again.  Its virtual run time, ``vruntime``, goes
forward by the time it has run, the slower the greater its weight.  The weighted average of all
vruntimes is where each would be if the CPU could be shared perfectly; how far a task is behind that
is its *lag*.  A task that has had no more than its share, lag >= 0, is *eligible*.  Its request is
to be served by its virtual *deadline*: where it was when the request began, plus the slice divided
by the weight.  Among those eligible, whose deadline is earliest runs, until its slice is used up or
it is not eligible any more.

The average is kept as two sums over the waiting tasks, in which vruntimes count from
``zero_vruntime``, which follows them so that the products stay small.

See: Linux kernel/sched/fair.c (6.12; sched_yield(2) as since 6.18); Stoica and Abdel-Wahab,
"Earliest Eligible Virtual Deadline First: A Flexible and Accurate Mechanism for Proportional Share
Resource Allocation", 1995.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.rbtree import rb_root_cached
from guest_kernel.layout.sched import (
    NICE_0_LOAD,
    SCHED_IDLE,
    SCHED_NORMAL,
    TIF_NEED_RESCHED,
    rq,
    task_struct,
)
from guest_kernel.lib.rbtree import (
    BLACK,
    LEFT,
    RIGHT,
    rb_erase_va,
    rb_insert_color_va,
    rb_neighbour_va,
)
from guest_kernel.sched.rq import (
    CUSTOM_SLICE,
    DEQUEUE_SAVE,
    ENQUEUE_INITIAL,
    ENQUEUE_RESTORE,
    LOAD_WEIGHT,
    ON_RQ,
    RQ_CURR,
    RQ_QUANTUM,
    SLICE,
    TASK_POLICY,
    TASK_TI_FLAGS,
    resched_curr,
    sched_class,
)

# Words behind k.rq_word; nr_running is a half of one.
_NR_RUNNING: Final = rq.offsetof("cfs.nr_running") >> 2
_AVG_VRUNTIME: Final = rq.offsetof("cfs.avg_vruntime") >> 3
_AVG_LOAD: Final = rq.offsetof("cfs.avg_load") >> 3
_ZERO: Final = rq.offsetof("cfs.zero_vruntime") >> 3
_ROOT: Final = rq.offsetof("cfs.tasks_timeline") >> 3
_LEFTMOST: Final = _ROOT + (rb_root_cached.offsetof("rb_leftmost") >> 3)

# Words of a task, behind its physical address >> 3.
_WEIGHT: Final = LOAD_WEIGHT >> 3
_VRUNTIME: Final = task_struct.offsetof("se.vruntime") >> 3
_DEADLINE: Final = task_struct.offsetof("se.deadline") >> 3
_VLAG: Final = task_struct.offsetof("se.vlag") >> 3
_SLICE: Final = SLICE >> 3
_TI_FLAGS: Final = TASK_TI_FLAGS >> 3
_POLICY: Final = TASK_POLICY >> 2  # of a half
_RUN_NODE: Final = task_struct.offsetof("se.run_node")
_DEADLINE_FROM_NODE: Final = _DEADLINE - (_RUN_NODE >> 3)

MIN_SLICE: Final = 100_000  # ns that a task may ask for at a time
MAX_SLICE: Final = 100_000_000

FAR: Final = 1 << 30  # ns of virtual time; zero_vruntime is moved when it is so far behind


class fair_sched_class(sched_class):
    """Tasks in ``rq.cfs``: the waiting ones in a tree by deadline, the running one outside it."""

    def enqueue_task(self, k: Kernel, task: int, flags: int) -> None:
        u32, q = k.u32, k.rq_word
        _place_entity(k, task, flags)
        u32[2 * q + _NR_RUNNING] += 1
        u32[(task + ON_RQ) >> 2] = 1
        if k.u64[q + RQ_CURR] & PHYSICAL_MASK != task:
            _enqueue_entity(k, task)

    def dequeue_task(self, k: Kernel, task: int, flags: int) -> None:
        u32, i64, w = k.u32, k.i64, task >> 3
        average = _avg_vruntime(k)
        # How far it may be ahead or behind when it comes back: two requests.
        weight = k.u64[w + _WEIGHT]
        limit = (2 * max(k.u64[w + _SLICE], k.u64[k.rq_word + RQ_QUANTUM])
                 * NICE_0_LOAD // weight)
        i64[w + _VLAG] = max(-limit, min(average - i64[w + _VRUNTIME], limit))
        if flags & DEQUEUE_SAVE:
            i64[w + _DEADLINE] -= i64[w + _VRUNTIME]
        if k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK != task:
            _dequeue_entity(k, task)
        u32[(task + ON_RQ) >> 2] = 0
        u32[2 * k.rq_word + _NR_RUNNING] -= 1
        if not u32[2 * k.rq_word + _NR_RUNNING]:
            i64[k.rq_word + _ZERO] = i64[w + _VRUNTIME]

    def pick_task(self, k: Kernel) -> int:
        return _pick_eevdf(k)

    def put_prev_task(self, k: Kernel, task: int) -> None:
        _enqueue_entity(k, task)

    def set_next_task(self, k: Kernel, task: int) -> None:
        _dequeue_entity(k, task)
        # While the two are equal it has not used up the slice that it was picked for.
        k.i64[(task >> 3) + _VLAG] = k.i64[(task >> 3) + _DEADLINE]

    def put_prev_set_next_task(self, k: Kernel, prev: int, task: int) -> None:
        u64, i64, q, w = k.u64, k.i64, k.rq_word, prev >> 3
        if u64[q + _AVG_LOAD] != u64[(task >> 3) + _WEIGHT]:
            _enqueue_entity(k, prev)
            self.set_next_task(k, task)
            return
        # Nobody else waits: the tree is task's node alone, and becomes prev's.
        vruntime, weight = i64[w + _VRUNTIME], u64[w + _WEIGHT]
        if vruntime - i64[q + _ZERO] > FAR:
            i64[q + _ZERO] = vruntime
        i64[q + _AVG_VRUNTIME] = (vruntime - i64[q + _ZERO]) * weight
        u64[q + _AVG_LOAD] = weight
        node = prev + _RUN_NODE + PAGE_OFFSET
        n = (prev + _RUN_NODE) >> 3
        u64[n], u64[n + LEFT], u64[n + RIGHT] = BLACK, 0, 0
        u64[q + _ROOT] = u64[q + _LEFTMOST] = node
        i64[(task >> 3) + _VLAG] = i64[(task >> 3) + _DEADLINE]  # as in set_next_task()

    def yield_task(self, k: Kernel, task: int) -> None:
        """Give up the rest of the slice, unless the task is ahead of the others anyway."""
        i64, w, q = k.i64, task >> 3, k.rq_word
        # It is not ahead of the others if it is not ahead of the average of those that wait.
        ahead = (i64[w + _VRUNTIME] - i64[q + _ZERO]) * k.u64[q + _AVG_LOAD]
        if ahead <= i64[q + _AVG_VRUNTIME] and k.u32[2 * q + _NR_RUNNING] > 1:
            i64[w + _VRUNTIME] = deadline = i64[w + _DEADLINE]
            weight = k.u64[w + _WEIGHT]
            request = k.u64[w + _SLICE]
            i64[w + _DEADLINE] = deadline + (
                request if weight == NICE_0_LOAD else request * NICE_0_LOAD // weight)

    def wakeup_preempt(self, k: Kernel, task: int) -> None:
        u32, u64, i64 = k.u32, k.u64, k.i64
        curr = u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK
        c, w = curr >> 3, task >> 3
        flags = c + _TI_FLAGS
        if u64[flags] & TIF_NEED_RESCHED:
            return
        policy, running = u32[(task >> 2) + _POLICY], u32[(curr >> 2) + _POLICY]
        if policy != running and SCHED_IDLE in (policy, running):
            if running == SCHED_IDLE:
                u64[flags] |= TIF_NEED_RESCHED
            return
        if policy != SCHED_NORMAL:
            return
        if (u64[w + _SLICE] < u64[c + _SLICE] and i64[c + _VLAG] == i64[c + _DEADLINE]
                and _is_eligible(k, task)
                and (i64[w + _DEADLINE] < i64[c + _DEADLINE] or not _is_eligible(k, curr))):
            i64[c + _VLAG] += 1  # a shorter request need not wait for the end of the slice
        if _pick_eevdf(k) == task:
            u64[flags] |= TIF_NEED_RESCHED

    def update_curr(self, k: Kernel, task: int, delta: int) -> None:
        i64, w = k.i64, task >> 3
        weight = k.u64[w + _WEIGHT]
        vruntime = i64[w + _VRUNTIME] + (
            delta if weight == NICE_0_LOAD else delta * NICE_0_LOAD // weight)
        i64[w + _VRUNTIME] = vruntime
        if vruntime >= i64[w + _DEADLINE]:  # the request has been served: here is the next
            i64[w + _DEADLINE] = vruntime + max(1, k.u64[w + _SLICE] * NICE_0_LOAD // weight)

    def turn(self, k: Kernel, task: int) -> int:
        i64, w = k.i64, task >> 3
        weight = k.u64[w + _WEIGHT]
        left = i64[w + _DEADLINE] - i64[w + _VRUNTIME]
        return max(1, left if weight == NICE_0_LOAD else left * weight // NICE_0_LOAD)

    def task_tick(self, k: Kernel, task: int) -> None:
        if k.u32[2 * k.rq_word + _NR_RUNNING] > 1:
            resched_curr(k)

    def set_runtime(self, k: Kernel, task: int, runtime: int) -> None:
        k.u32[(task + CUSTOM_SLICE) >> 2] = int(runtime != 0)
        k.u64[(task >> 3) + _SLICE] = (max(MIN_SLICE, min(runtime, MAX_SLICE)) if runtime
                                       else k.u64[k.rq_word + RQ_QUANTUM])

    def reweight_task(self, k: Kernel, task: int, weight: int) -> None:
        """Change the weight; lag and what is left of the slice stay, in real time."""
        u64, i64, w = k.u64, k.i64, task >> 3
        if not k.u32[(task + ON_RQ) >> 2]:
            i64[w + _VLAG] = i64[w + _VLAG] * u64[w + _WEIGHT] // weight
            u64[w + _WEIGHT] = weight
            return
        running = k.u64[k.rq_word + RQ_CURR] & PHYSICAL_MASK == task
        average, old = _avg_vruntime(k), u64[w + _WEIGHT]
        if not running:
            _dequeue_entity(k, task)
        left = i64[w + _DEADLINE] - i64[w + _VRUNTIME]
        i64[w + _VRUNTIME] = average - (average - i64[w + _VRUNTIME]) * old // weight
        i64[w + _DEADLINE] = i64[w + _VRUNTIME] + max(1, left * old // weight)
        u64[w + _WEIGHT] = weight
        if not running:
            _enqueue_entity(k, task)

    def get_rr_interval(self, k: Kernel, task: int) -> int:
        request: int = k.u64[(task >> 3) + _SLICE]
        return request


def _sums(k: Kernel) -> tuple[int, int]:
    """Return, over all runnable fair tasks, the weighted sum of vruntimes, and of weights."""
    u64, i64, q = k.u64, k.i64, k.rq_word
    average, load = i64[q + _AVG_VRUNTIME], u64[q + _AVG_LOAD]
    curr = u64[q + RQ_CURR] & PHYSICAL_MASK
    if k.u32[(curr + ON_RQ) >> 2]:  # as no task of another class has it
        w = curr >> 3
        weight = u64[w + _WEIGHT]
        average += (i64[w + _VRUNTIME] - i64[q + _ZERO]) * weight
        load += weight
    return average, load


def _avg_vruntime(k: Kernel) -> int:
    """Return the weighted average of all vruntimes, rounded down."""
    average, load = _sums(k)
    zero: int = k.i64[k.rq_word + _ZERO]
    return zero + average // load if load else zero


def _is_eligible(k: Kernel, task: int) -> bool:
    """Tell whether ``task`` has had no more than its share."""
    average, load = _sums(k)
    i64 = k.i64
    return bool(average >= (i64[(task >> 3) + _VRUNTIME] - i64[k.rq_word + _ZERO]) * load)


def _pick_eevdf(k: Kernel) -> int:
    """Return the eligible task with the earliest deadline.

    Linux finds it in the tree by the least vruntime below each node; here the tree is walked in
    order of deadline, and mostly the first or second task is eligible.
    """
    u64, i64, q = k.u64, k.i64, k.rq_word
    curr = u64[q + RQ_CURR] & PHYSICAL_MASK
    if not k.u32[(curr + ON_RQ) >> 2]:  # as no task of another class has it
        curr = 0
    node = u64[q + _LEFTMOST]
    if not node:
        return curr
    zero = i64[q + _ZERO]
    average, load = i64[q + _AVG_VRUNTIME], u64[q + _AVG_LOAD]
    if curr:
        c = curr >> 3
        weight, key = u64[c + _WEIGHT], i64[c + _VRUNTIME] - zero
        average += key * weight
        load += weight
        if average < key * load:
            curr = 0
        elif i64[c + _VLAG] == i64[c + _DEADLINE]:
            return curr
    while node:
        task = (node & PHYSICAL_MASK) - _RUN_NODE
        w = task >> 3
        if average >= (i64[w + _VRUNTIME] - zero) * load:
            if curr and i64[(curr >> 3) + _DEADLINE] < i64[w + _DEADLINE]:
                return curr
            return task
        node = rb_neighbour_va(u64, node, RIGHT)
    return curr


def _place_entity(k: Kernel, task: int, flags: int) -> None:
    """Decide where in virtual time ``task`` joins the others: with the lag that it left with."""
    u64, i64, q, w = k.u64, k.i64, k.rq_word, task >> 3
    weight, request = u64[w + _WEIGHT], u64[w + _SLICE]
    if weight != NICE_0_LOAD:
        request = request * NICE_0_LOAD // weight
    average, load = _sums(k)
    vruntime = i64[q + _ZERO]
    if load:
        vruntime += average // load
        lag = i64[w + _VLAG]
        if lag:
            # Its joining moves the average towards it, which would lessen the lag.
            lag *= load + weight
            vruntime -= lag // load if lag >= 0 else -(-lag // load)
    i64[w + _VRUNTIME] = vruntime
    if flags & ENQUEUE_RESTORE:
        i64[w + _DEADLINE] += vruntime
        return
    if flags & ENQUEUE_INITIAL:
        request //= 2  # a new task comes to its first turn a little sooner
    i64[w + _DEADLINE] = vruntime + (request or 1)


def _enqueue_entity(k: Kernel, task: int) -> None:
    """Put ``task`` into the tree, behind those with the same deadline."""
    u64, i64, q, w = k.u64, k.i64, k.rq_word, task >> 3
    weight, key = u64[w + _WEIGHT], i64[w + _VRUNTIME] - i64[q + _ZERO]
    if key > FAR:
        _move_zero(k)
        key = i64[w + _VRUNTIME] - i64[q + _ZERO]
    i64[q + _AVG_VRUNTIME] += key * weight
    u64[q + _AVG_LOAD] += weight
    node, n = task + _RUN_NODE + PAGE_OFFSET, (task + _RUN_NODE) >> 3
    if not u64[q + _ROOT]:  # nobody else waits
        u64[n] = BLACK
        u64[n + LEFT] = u64[n + RIGHT] = 0
        u64[q + _ROOT] = u64[q + _LEFTMOST] = node
        return
    deadline, link, parent, leftmost = i64[w + _DEADLINE], q + _ROOT, 0, True
    while child := u64[link]:
        parent = child
        c = (child & PHYSICAL_MASK) >> 3
        if deadline < i64[c + _DEADLINE_FROM_NODE]:
            link = c + LEFT
        else:
            link = c + RIGHT
            leftmost = False
    u64[n] = parent
    u64[n + LEFT] = u64[n + RIGHT] = 0
    u64[link] = node
    if leftmost:
        u64[q + _LEFTMOST] = node
    rb_insert_color_va(u64, node, q + _ROOT << 3)


def _dequeue_entity(k: Kernel, task: int) -> None:
    """Take ``task`` out of the tree."""
    u64, i64, q, w = k.u64, k.i64, k.rq_word, task >> 3
    weight = u64[w + _WEIGHT]
    i64[q + _AVG_VRUNTIME] -= (i64[w + _VRUNTIME] - i64[q + _ZERO]) * weight
    u64[q + _AVG_LOAD] -= weight
    node = task + _RUN_NODE + PAGE_OFFSET
    if u64[q + _LEFTMOST] == node:
        u64[q + _LEFTMOST] = rb_neighbour_va(u64, node, RIGHT)
    rb_erase_va(u64, node, q + _ROOT << 3)


def _move_zero(k: Kernel) -> None:
    """Let vruntimes count from the present average."""
    i64, q = k.i64, k.rq_word
    by = _avg_vruntime(k) - i64[q + _ZERO]
    i64[q + _ZERO] += by
    i64[q + _AVG_VRUNTIME] -= by * k.u64[q + _AVG_LOAD]
