"""Workqueues: what is put off to be done by a kernel thread.

See: Linux include/linux/workqueue.h, kernel/workqueue.c, kernel/workqueue_internal.h.
"""

from typing import Final

from guest_kernel.layout.declare import I32, U32, U64, Chars, Embed, EmbedArray, Ptr, Struct
from guest_kernel.layout.list import list_head
from guest_kernel.layout.sched import completion, hrtimer, kthread_create_info, task_struct

# work_struct.data
WORK_STRUCT_PENDING: Final = 1 << 0  # it is queued, or its timer runs
WORK_STRUCT_INACTIVE: Final = 1 << 1  # it waits in workqueue_struct.inactive_works

# workqueue_struct.flags
WQ_HIGHPRI: Final = 1 << 4  # its workers have nice -20
__WQ_DRAINING: Final = 1 << 16  # it takes only what its own works queue

WQ_MAX_ACTIVE: Final = 2048
WQ_DFL_ACTIVE: Final = WQ_MAX_ACTIVE // 2
WQ_NAME_LEN: Final = 32

# worker_pool.flags
POOL_MANAGER_ACTIVE: Final = 1 << 0  # a worker is being made

# worker.flags
WORKER_DIE: Final = 1 << 1  # it is to end
WORKER_IDLE: Final = 1 << 2  # it is in worker_pool.idle_list
WORKER_PREP: Final = 1 << 3  # it is not looking for work: not in nr_running

NR_STD_WORKER_POOLS: Final = 2  # of a CPU: nice 0, nice -20


class work_struct(Struct):
    """Something to be done once, by a worker.

    Linux keeps ``wq``, ``seq`` and ``disable`` in ``data``, packed.
    """

    data = U64("WORK_STRUCT_*")
    entry = Embed(list_head, "its place in worklist, scheduled or inactive_works; else empty")
    func = U32("WorkFn: what is done")
    disable = U32("not 0: it cannot be queued")
    wq = Ptr(lambda: workqueue_struct, "where it was queued last")
    seq = U64("workqueue_data.work_seq of that queueing")


class delayed_work(Struct):
    """Something to be done at a time."""

    work = Embed(work_struct, "queued when the timer expires")
    timer = Embed(hrtimer, "the time")
    wq = Ptr(lambda: workqueue_struct, "where it is to be queued then")


class workqueue_struct(Struct):
    """A source of works, which can be waited for together.  (Linux has a part of it per pool.)"""

    list = Embed(list_head, "its place in workqueue_data.workqueues")
    name = Chars(WQ_NAME_LEN, "its name")
    flags = U32("WQ_*")
    max_active = I32("at most so many works are queued at the pool, or being done")
    nr_active = I32("so many are")
    nr_in_flight = I32("the same, and those in inactive_works")
    inactive_works = Embed(list_head, "work_struct.entry of those that max_active keeps back")
    pool = Ptr(lambda: worker_pool, "whose workers do them")


class worker(Struct):
    """A kernel thread that does works."""

    entry = Embed(list_head, "its place in worker_pool.idle_list")
    node = Embed(list_head, "its place in worker_pool.workers")
    current_work = Ptr(lambda: work_struct, "what it is doing; freed, perhaps, by current_func")
    current_func = U32("WorkFn: what that does")
    sleeping = U32("1: it sleeps while it does it: not in nr_running")
    current_wq = Ptr(lambda: workqueue_struct, "whose work it does; NULL: none")
    current_seq = U64("work_struct.seq of what it does")
    scheduled = Embed(list_head, "work_struct.entry of works that no other may do now")
    task = Ptr(lambda: task_struct, "the thread; NULL: it is being made")
    pool = Ptr(lambda: worker_pool, "its pool")
    last_active = U64("when it had work last, monotonic ns")
    flags = U32("WORKER_*")
    id = I32("its number in the pool")


class worker_pool(Struct):
    """Workers, and what they have to do."""

    cpu = I32("the CPU: 0")
    nice = I32("its workers' nice value")
    flags = U32("POOL_*")
    nr_workers = I32("workers, the one that is being made not counted")
    nr_idle = I32("those in idle_list")
    nr_running = I32("those that do a work, or look for one, and do not sleep")
    worklist = Embed(list_head, "work_struct.entry of what is to be done, in order")
    idle_list = Embed(list_head, "worker.entry; the one that has been idle longest is the last")
    workers = Embed(list_head, "worker.node of all")
    idle_timer = Embed(hrtimer, "ends workers that have been idle for long")
    mayday_timer = Embed(hrtimer, "looks whether the worker that is being made has come")
    create = Embed(kthread_create_info, "what kthreadd is asked for")
    new_worker = Ptr(lambda: worker, "the worker that is being made")


class wq_flusher(Struct):
    """A task that waits for works to be finished."""

    list = Embed(list_head, "its place in workqueue_data.flushers")
    task = Ptr(lambda: task_struct, "the task")
    wq = Ptr(lambda: workqueue_struct, "it waits for this one's works up to seq; NULL: for one")
    seq = U64("work_struct.seq of the last, or of the one")
    nr = U32("how many it still waits for")
    pending = U32("cancel_work_sync(): the work was pending")
    done = Embed(completion, "done when nr is 0")


class workqueue_data(Struct):
    """The workqueues' globals."""

    cpu_worker_pools = EmbedArray(worker_pool, NR_STD_WORKER_POOLS, "of CPU 0")
    workqueues = Embed(list_head, "workqueue_struct.list of all")
    flushers = Embed(list_head, "wq_flusher.list of all")
    work_seq = U64("how many works have ever been queued")
    system_wq = Ptr(lambda: workqueue_struct, "for works that are short")
    system_highpri_wq = Ptr(lambda: workqueue_struct, "for those that are urgent")
