"""Workqueues: work that is put off, and done by kernel threads.

Whoever must not sleep or has no time, such as an interrupt, queues a ``work_struct``; a worker, a
kernel thread named ``kworker/0:0``, calls its function.  That is hosted and named by a number
(``WorkFn``).  It may sleep as a system call does: it is called again after the wake-up, and keeps
what it must remember in RAM.

The workqueues of a kind share a pool of workers.  Works are begun in the order in which they were
queued.  While a worker runs, it does one after the other; when it goes to sleep in one, another
worker goes on with the rest, and is made if all are busy.  So there are as many as are needed to
keep the CPU at work (``nr_running``), and no more.  Of one work there is never more than one going
on: if it is queued again meanwhile, the same worker does it again.

The first worker is made with the first work, so that a kernel that puts nothing off has none; from
then on it stays.  Linux makes one at boot, and always keeps one in reserve; here somebody waits for
kthreadd instead, and if no thread can be made, it is tried again every second.

See: Linux kernel/workqueue.c; Documentation/core-api/workqueue.rst.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NoReturn

from guest_kernel.errors import BUG, BUG_ON, Errno, Sleep
from guest_kernel.kernel import Kernel
from guest_kernel.layout import workqueue as layout
from guest_kernel.layout.sched import (
    MIN_NICE,
    PF_WQ_WORKER,
    TASK_IDLE,
    TASK_UNINTERRUPTIBLE,
    hrtimer,
    task_struct,
)
from guest_kernel.layout.workqueue import (
    NR_STD_WORKER_POOLS,
    POOL_MANAGER_ACTIVE,
    WORK_STRUCT_INACTIVE,
    WORK_STRUCT_PENDING,
    WORKER_DIE,
    WORKER_IDLE,
    WORKER_PREP,
    WQ_DFL_ACTIVE,
    WQ_HIGHPRI,
    WQ_MAX_ACTIVE,
    delayed_work,
    work_struct,
    worker,
    worker_pool,
    workqueue_data,
    workqueue_struct,
    wq_flusher,
)
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    list_add,
    list_add_tail,
    list_del,
    list_del_init,
    list_empty,
    list_first_entry_or_null,
    list_for_each_entry,
    list_last_entry_or_null,
    list_move_tail,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process.kthread import FUNCTIONS as THREAD_FUNCTIONS
from guest_kernel.process.kthread import KthreadFn, kthread_run_nowait, to_kthread
from guest_kernel.sched.core import set_user_nice, wake_up_process
from guest_kernel.sched.preempt import in_task
from guest_kernel.sched.wait import complete, init_waitqueue_head, schedule_timeout, sleep_on
from guest_kernel.time.hrtimer import FUNCTIONS as TIMER_FUNCTIONS
from guest_kernel.time.hrtimer import HrtimerFn, hrtimer_cancel, hrtimer_start
from guest_kernel.time.timekeeping import ktime_get

NSEC_PER_SEC: Final = 1_000_000_000
IDLE_WORKER_TIMEOUT: Final = 300 * NSEC_PER_SEC
CREATE_COOLDOWN: Final = NSEC_PER_SEC
MAX_IDLE_WORKERS_RATIO: Final = 4  # of the busy ones, a quarter may be idle; and two
_DRAINING: Final = getattr(layout, "__WQ_DRAINING")  # the name would be mangled in a class


class WorkFn(IntEnum):
    """What is done; a number, because RAM is all that a snapshot keeps."""

    FLUSH_TO_LDISC = 1  # a terminal's input: see drivers/tty/tty_buffer.py
    TTY_HANGUP = 2  # drivers/tty/tty_io.py


# Called with the worker's task and the work, which the function may free.
FUNCTIONS: Final[dict[int, Callable[[task_struct, work_struct], None]]] = {}


def workqueue_init_early(k: Kernel) -> None:
    """Set up the pools and the system's workqueues."""
    data = k.data(workqueue_data)
    INIT_LIST_HEAD(data.workqueues)
    INIT_LIST_HEAD(data.flushers)
    assert len(data.cpu_worker_pools) == NR_STD_WORKER_POOLS
    for pool, nice in zip(data.cpu_worker_pools, (0, MIN_NICE), strict=True):
        pool.nice = nice
        for head in (pool.worklist, pool.idle_list, pool.workers):
            INIT_LIST_HEAD(head)
    data.system_wq = alloc_workqueue(k, b"events", 0, 0)
    data.system_highpri_wq = alloc_workqueue(k, b"events_highpri", WQ_HIGHPRI, 0)


# ------------------------------------------------------------------------------- workqueues


def alloc_workqueue(k: Kernel, name: bytes, flags: int, max_active: int) -> workqueue_struct:
    """Make a workqueue.

    Args:
        flags: WQ_HIGHPRI.
        max_active: so many of its works may be going on at a time: from 1, which keeps them in
            order even if they sleep, to WQ_MAX_ACTIVE; 0: WQ_DFL_ACTIVE.

    Raises:
        OutOfFrames.
        KernelPanic: another flag, or another number.
    """
    BUG_ON(bool(flags & ~WQ_HIGHPRI), f"alloc_workqueue: flags {flags:#x}")
    BUG_ON(not 0 <= max_active <= WQ_MAX_ACTIVE, f"alloc_workqueue: max_active {max_active}")
    data = k.data(workqueue_data)
    wq = kzalloc(k, workqueue_struct)
    wq.name, wq.flags, wq.max_active = name, flags, max_active or WQ_DFL_ACTIVE
    INIT_LIST_HEAD(wq.inactive_works)
    wq.pool = data.cpu_worker_pools[bool(flags & WQ_HIGHPRI)]
    list_add_tail(wq.list, data.workqueues)
    return wq


def destroy_workqueue(current: task_struct, wq: workqueue_struct) -> None:
    """Wait until all works of a workqueue are finished, then free it.

    What they queue there themselves is waited for, too.  Delayed works whose time has not come are
    the caller's to cancel.

    Raises:
        Sleep: they are not; the caller is called again, and calls this again.
    """
    wq.flags |= _DRAINING
    while wq.nr_in_flight or _flusher(current) is not None:
        flush_workqueue(current, wq)
    list_del(wq.list)
    kfree(wq)


# ------------------------------------------------------------------------------- queueing


def INIT_WORK(work: work_struct, func: int) -> None:
    """Make ``work`` one that ``func``, a WorkFn, is called for."""
    work.clear()
    work.func = func
    INIT_LIST_HEAD(work.entry)


def INIT_DELAYED_WORK(dwork: delayed_work, func: int) -> None:
    """Make ``dwork`` one that ``func``, a WorkFn, is called for."""
    dwork.clear()
    INIT_WORK(dwork.work, func)


def work_pending(work: work_struct) -> bool:
    """Tell whether ``work`` is queued, or its timer runs, and its function not called yet."""
    return bool(work.data & WORK_STRUCT_PENDING)


def queue_work(wq: workqueue_struct, work: work_struct) -> bool:
    """Have ``work`` done.  May be called in an interrupt.

    Returns:
        False: it is pending already, or is being cancelled.
    """
    if work.data & WORK_STRUCT_PENDING or work.disable:
        return False
    work.data |= WORK_STRUCT_PENDING
    _queue(wq, work)
    return True


def schedule_work(work: work_struct) -> bool:
    """Have ``work`` done by the system's workqueue; as :func:`queue_work`."""
    return queue_work(system_wq(work.k), work)


def system_wq(k: Kernel) -> workqueue_struct:
    """Return the workqueue for short works of all kinds."""
    wq = k.data(workqueue_data).system_wq
    assert wq is not None
    return wq


def queue_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: int) -> bool:
    """Have ``dwork`` queued in ``delay`` ns; as :func:`queue_work`."""
    work = dwork.work
    if work.data & WORK_STRUCT_PENDING or work.disable:
        return False
    work.data |= WORK_STRUCT_PENDING
    _queue_delayed(wq, dwork, delay)
    return True


def schedule_delayed_work(dwork: delayed_work, delay: int) -> bool:
    """Do as :func:`queue_delayed_work` with the system's workqueue."""
    return queue_delayed_work(system_wq(dwork.k), dwork, delay)


def mod_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: int) -> bool:
    """Have ``dwork`` queued in ``delay`` ns, whether it is pending or not.

    Returns:
        True if it was pending.
    """
    pending = cancel_delayed_work(dwork)
    queue_delayed_work(wq, dwork, delay)
    return pending


def _queue_delayed(wq: workqueue_struct, dwork: delayed_work, delay: int) -> None:
    if not delay:
        _queue(wq, dwork.work)
        return
    dwork.wq = wq
    hrtimer_start(dwork.timer, ktime_get(dwork.k) + delay, HrtimerFn.DELAYED_WORK, dwork.va)


def delayed_work_timer_fn(timer: hrtimer) -> None:
    """A delayed work's time has come."""
    dwork = delayed_work.at(timer.k, timer.data)
    assert dwork.wq is not None
    _queue(dwork.wq, dwork.work)


TIMER_FUNCTIONS[HrtimerFn.DELAYED_WORK] = delayed_work_timer_fn


def _queue(wq: workqueue_struct, work: work_struct) -> None:
    """Queue a work that is marked as pending.  See __queue_work()."""
    if wq.flags & _DRAINING and not _is_chained_work(wq):
        BUG(f"workqueue {wq.name.decode('utf-8', 'replace')} is being destroyed")
    data = wq.k.data(workqueue_data)
    data.work_seq = seq = data.work_seq + 1
    work.wq, work.seq = wq, seq
    wq.nr_in_flight += 1
    if wq.nr_active < wq.max_active:
        _activate(wq, work)
    else:
        work.data |= WORK_STRUCT_INACTIVE
        list_add_tail(work.entry, wq.inactive_works)


def _is_chained_work(wq: workqueue_struct) -> bool:
    """Tell whether a work of ``wq`` is being done now."""
    k: Kernel = wq.k
    w = current_wq_worker(k.current()) if in_task(k) else None
    return w is not None and w.current_wq == wq


def _activate(wq: workqueue_struct, work: work_struct) -> None:
    pool = pool_of(wq)
    wq.nr_active += 1
    list_add_tail(work.entry, pool.worklist)
    kick_pool(pool)


def pool_of(wq: workqueue_struct) -> worker_pool:
    """Return the pool whose workers do the works of ``wq``."""
    pool = wq.pool
    assert pool is not None
    return pool


def _end_in_flight(wq: workqueue_struct, seq: int, *, active: bool) -> None:
    """A work is finished, or was cancelled: let another begin, and tell who waits for it."""
    wq.nr_in_flight -= 1
    if active:
        wq.nr_active -= 1
        work = list_first_entry_or_null(wq.inactive_works, work_struct, "entry")
        if work is not None:
            list_del_init(work.entry)
            work.data &= ~WORK_STRUCT_INACTIVE
            _activate(wq, work)
    for flusher in list_for_each_entry(wq.k.data(workqueue_data).flushers, wq_flusher, "list"):
        waits = seq == flusher.seq if flusher.wq is None else (
            flusher.wq == wq and seq <= flusher.seq)
        if waits:
            flusher.nr -= 1
            if not flusher.nr:
                complete(flusher.done)


# ------------------------------------------------------------------- waiting and cancelling


def flush_work(current: task_struct, work: work_struct) -> bool:
    """Wait until ``work``, as it was queued last, is finished.

    Returns:
        False: it was neither queued nor being done.

    Raises:
        Sleep: it is not; the caller is called again, and calls this again.
        KernelPanic: the caller is doing it.
    """
    flusher = _flusher(current)
    if flusher is None:
        seq = work.seq if not list_empty(work.entry) else _seq_in_progress(current, work)
        if not seq:
            return False
        flusher = _add_flusher(current, None, seq, 1)
    _wait(current, flusher)
    return True


def flush_workqueue(current: task_struct, wq: workqueue_struct) -> None:
    """Wait until all works that have been queued at ``wq`` are finished.

    Raises:
        Sleep: they are not; the caller is called again, and calls this again.
        KernelPanic: the caller is doing one of them.
    """
    flusher = _flusher(current)
    if flusher is None:
        if not wq.nr_in_flight:
            return
        w = current_wq_worker(current)
        if w is not None and w.current_wq == wq:
            BUG(f"workqueue {wq.name.decode('utf-8', 'replace')}: a work waits for itself")
        flusher = _add_flusher(current, wq, wq.k.data(workqueue_data).work_seq, wq.nr_in_flight)
    _wait(current, flusher)


def cancel_work(work: work_struct) -> bool:
    """Take ``work`` back if its function has not been called yet; tell whether that was so."""
    if list_empty(work.entry):
        return False
    wq, seq, active = work.wq, work.seq, not work.data & WORK_STRUCT_INACTIVE
    assert wq is not None
    list_del_init(work.entry)
    work.data &= ~(WORK_STRUCT_PENDING | WORK_STRUCT_INACTIVE)
    _end_in_flight(wq, seq, active=active)
    return True


def cancel_delayed_work(dwork: delayed_work) -> bool:
    """Take ``dwork`` back if its function has not been called yet; tell whether that was so."""
    if dwork.timer.is_queued:
        hrtimer_cancel(dwork.timer)
        dwork.work.data &= ~WORK_STRUCT_PENDING
        return True
    return cancel_work(dwork.work)


def cancel_work_sync(current: task_struct, work: work_struct) -> bool:
    """Take ``work`` back, and wait until it is no longer being done.

    It cannot be queued until then, not by its own function either.

    Returns:
        True if it was pending.

    Raises:
        Sleep: it is being done; the caller is called again, and calls this again.
        KernelPanic: the caller is doing it.
    """
    return _cancel_sync(current, work, lambda: cancel_work(work))


def cancel_delayed_work_sync(current: task_struct, dwork: delayed_work) -> bool:
    """Do as :func:`cancel_work_sync` with a delayed work."""
    return _cancel_sync(current, dwork.work, lambda: cancel_delayed_work(dwork))


def flush_delayed_work(current: task_struct, dwork: delayed_work) -> bool:
    """Queue ``dwork`` now if its timer runs, and wait as :func:`flush_work` does."""
    if _flusher(current) is None and dwork.timer.is_queued:
        hrtimer_cancel(dwork.timer)
        assert dwork.wq is not None
        _queue(dwork.wq, dwork.work)
    return flush_work(current, dwork.work)


def _cancel_sync(current: task_struct, work: work_struct, cancel: Callable[[], bool]) -> bool:
    flusher = _flusher(current)
    if flusher is None:
        seq = _seq_in_progress(current, work)
        if not seq:
            return cancel()
        flusher = _add_flusher(current, None, seq, 1)
        flusher.pending = int(cancel())
        work.disable += 1
    pending = bool(flusher.pending)
    _wait(current, flusher)
    work.disable -= 1
    return pending


def _seq_in_progress(current: task_struct, work: work_struct) -> int:
    """Return which queueing of ``work`` is being done; 0: none."""
    wq = work.wq
    w = find_worker_executing_work(pool_of(wq), work) if wq is not None else None
    if w is None:
        return 0
    BUG_ON(w.task == current, f"{work!r} waits for itself")
    return w.current_seq


def _flusher(current: task_struct) -> wq_flusher | None:
    """Return what the current task waits for; None: it has not begun to."""
    flushers = current.k.data(workqueue_data).flushers
    return next((flusher for flusher in list_for_each_entry(flushers, wq_flusher, "list")
                 if flusher.task == current), None)


def _add_flusher(current: task_struct, wq: workqueue_struct | None, seq: int,
                 nr: int) -> wq_flusher:
    flusher = kzalloc(current.k, wq_flusher)
    flusher.task, flusher.wq, flusher.seq, flusher.nr = current, wq, seq, nr
    init_waitqueue_head(flusher.done.wait)
    list_add_tail(flusher.list, current.k.data(workqueue_data).flushers)
    return flusher


def _wait(current: task_struct, flusher: wq_flusher) -> None:
    if not flusher.done.done:
        sleep_on(current, flusher.done.wait, TASK_UNINTERRUPTIBLE)
    list_del(flusher.list)
    kfree(flusher)


# ---------------------------------------------------------------------------------- workers


def current_wq_worker(task: task_struct) -> worker | None:
    """Return what ``task`` is as a worker; None: it is not one."""
    if not task.flags & PF_WQ_WORKER:
        return None
    return worker.at(task.k, to_kthread(task).data)


def need_more_worker(pool: worker_pool) -> bool:
    """Tell whether there is work, and nobody at it."""
    return not list_empty(pool.worklist) and not pool.nr_running


def kick_pool(pool: worker_pool) -> None:
    """Have a worker look for work if there is some and nobody at it."""
    if not need_more_worker(pool):
        return
    idle = list_first_entry_or_null(pool.idle_list, worker, "entry")
    if idle is None:
        create_worker(pool)
    else:
        assert idle.task is not None
        wake_up_process(idle.task)


def create_worker(pool: worker_pool) -> None:
    """Have kthreadd make a worker; if it cannot, try again later."""
    if pool.flags & POOL_MANAGER_ACTIVE:
        return
    k: Kernel = pool.k
    pool.flags |= POOL_MANAGER_ACTIVE
    hrtimer_start(pool.mayday_timer, ktime_get(k) + CREATE_COOLDOWN, HrtimerFn.MAYDAY, pool.va)
    try:
        new = kzalloc(k, worker)
    except OutOfFrames:
        pool.create.error, pool.create.done.done = Errno.ENOMEM, 1
        return
    used = {w.id for w in list_for_each_entry(pool.workers, worker, "node")}
    new.id = next(number for number in range(len(used) + 1) if number not in used)
    new.pool, new.flags = pool, WORKER_PREP
    INIT_LIST_HEAD(new.entry)
    INIT_LIST_HEAD(new.scheduled)
    pool.new_worker = new
    name = b"kworker/%d:%d%s" % (pool.cpu, new.id, b"H" if pool.nice < 0 else b"")
    kthread_run_nowait(pool.create, KthreadFn.WORKER_THREAD, new.va, name)


def pool_mayday_timeout(timer: hrtimer) -> None:
    """A worker that was to be made has not begun to work: find out why, and try again."""
    pool = worker_pool.at(timer.k, timer.data)
    if not pool.create.done.done:  # kthreadd has not had the CPU
        hrtimer_start(timer, ktime_get(timer.k) + CREATE_COOLDOWN, HrtimerFn.MAYDAY, pool.va)
        return
    kfree(pool.new_worker)
    pool.new_worker = None
    pool.flags &= ~POOL_MANAGER_ACTIVE
    kick_pool(pool)


TIMER_FUNCTIONS[HrtimerFn.MAYDAY] = pool_mayday_timeout


def _worker_attach_to_pool(current: task_struct, w: worker, pool: worker_pool) -> None:
    """A worker runs for the first time."""
    w.task = current
    current.flags |= PF_WQ_WORKER
    set_user_nice(current, pool.nice)
    list_add_tail(w.node, pool.workers)
    pool.nr_workers += 1
    pool.new_worker = None
    hrtimer_cancel(pool.mayday_timer)
    pool.flags &= ~POOL_MANAGER_ACTIVE


def worker_thread(current: task_struct) -> int | None:
    """Do one work, or go on with it, or sleep until there is one.

    Raises:
        Sleep.
    """
    w = worker.at(current.k, to_kthread(current).data)
    pool = w.pool
    assert pool is not None
    if w.task is None:
        _worker_attach_to_pool(current, w, pool)
    if w.flags & WORKER_DIE:
        return _worker_dies(current, w, pool)
    if w.current_wq is not None:
        _go_on_with_work(current, w, pool)
        return None
    if w.flags & WORKER_IDLE:
        worker_leave_idle(w, pool)
    if w.flags & WORKER_PREP:
        if not need_more_worker(pool):
            _sleep_idle(current, w, pool)
        w.flags &= ~WORKER_PREP
        pool.nr_running += 1
    work = _next_work(w, pool)
    if work is None:
        w.flags |= WORKER_PREP
        pool.nr_running -= 1
        _sleep_idle(current, w, pool)
    process_one_work(current, w, pool, work)
    return None


THREAD_FUNCTIONS[KthreadFn.WORKER_THREAD] = worker_thread


def _next_work(w: worker, pool: worker_pool) -> work_struct | None:
    """Return what is to be done next; None: nothing, or another worker is at it."""
    work = list_first_entry_or_null(w.scheduled, work_struct, "entry")
    if work is None and pool.nr_running <= 1:
        work = list_first_entry_or_null(pool.worklist, work_struct, "entry")
    return work


def find_worker_executing_work(pool: worker_pool, work: work_struct) -> worker | None:
    """Return the worker that is doing ``work``.

    A function may have freed its own, whose place another has taken: that has another function.
    """
    return next((w for w in list_for_each_entry(pool.workers, worker, "node")
                 if w.current_work == work and w.current_func == work.func), None)


def process_one_work(current: task_struct, w: worker, pool: worker_pool,
                     work: work_struct) -> None:
    """Call a work's function, or leave the work to who is doing the same already.

    Raises:
        Sleep: the function sleeps; :func:`worker_thread` is called again.
    """
    collision = find_worker_executing_work(pool, work)
    if collision is not None:
        list_move_tail(work.entry, collision.scheduled)
        return
    list_del_init(work.entry)
    w.current_work, w.current_func = work, work.func
    w.current_wq, w.current_seq = work.wq, work.seq
    work.data &= ~WORK_STRUCT_PENDING  # from here on it can be queued again
    _go_on_with_work(current, w, pool)


def _go_on_with_work(current: task_struct, w: worker, pool: worker_pool) -> None:
    work, wq, seq = w.current_work, w.current_wq, w.current_seq
    assert work is not None
    assert wq is not None
    if w.sleeping:  # see wq_worker_running()
        w.sleeping = 0
        pool.nr_running += 1
    try:
        FUNCTIONS[w.current_func](current, work)
    except Sleep:  # see wq_worker_sleeping()
        w.sleeping = 1
        pool.nr_running -= 1
        kick_pool(pool)
        raise
    w.current_work = w.current_wq = None
    w.current_func = w.current_seq = 0
    _end_in_flight(wq, seq, active=True)


def _sleep_idle(current: task_struct, w: worker, pool: worker_pool) -> NoReturn:
    worker_enter_idle(w, pool)
    schedule_timeout(current, state=TASK_IDLE)


def worker_enter_idle(w: worker, pool: worker_pool) -> None:
    """Put a worker that has nothing to do where :func:`kick_pool` finds it."""
    w.flags |= WORKER_IDLE
    w.last_active = ktime_get(w.k)
    list_add(w.entry, pool.idle_list)
    pool.nr_idle += 1
    if too_many_workers(pool) and not pool.idle_timer.is_queued:
        _start_idle_timer(pool, w.last_active + IDLE_WORKER_TIMEOUT)


def worker_leave_idle(w: worker, pool: worker_pool) -> None:
    """Undo :func:`worker_enter_idle`."""
    w.flags &= ~WORKER_IDLE
    list_del_init(w.entry)
    pool.nr_idle -= 1


def too_many_workers(pool: worker_pool) -> bool:
    """Tell whether some of the idle workers are not worth their stacks."""
    nr_busy = pool.nr_workers - pool.nr_idle
    return pool.nr_idle > 2 and (pool.nr_idle - 2) * MAX_IDLE_WORKERS_RATIO >= nr_busy


def _start_idle_timer(pool: worker_pool, expires: int) -> None:
    hrtimer_start(pool.idle_timer, expires, HrtimerFn.IDLE_WORKERS, pool.va)


def idle_worker_timeout(timer: hrtimer) -> None:
    """End workers that have been idle for too long, as long as there are too many."""
    pool = worker_pool.at(timer.k, timer.data)
    while too_many_workers(pool):
        w = list_last_entry_or_null(pool.idle_list, worker, "entry")
        assert w is not None
        expires = w.last_active + IDLE_WORKER_TIMEOUT
        if ktime_get(timer.k) < expires:
            _start_idle_timer(pool, expires)
            break
        worker_leave_idle(w, pool)
        pool.nr_workers -= 1
        w.flags |= WORKER_DIE
        assert w.task is not None
        wake_up_process(w.task)


TIMER_FUNCTIONS[HrtimerFn.IDLE_WORKERS] = idle_worker_timeout


def _worker_dies(current: task_struct, w: worker, pool: worker_pool) -> int:
    current.flags &= ~PF_WQ_WORKER
    list_del(w.node)
    kfree(w)
    return 0
