"""Kernel threads: tasks without an address space of their own.

All but the first two are made by kthreadd, pid 2: :func:`kthread_create` puts a request on a list,
wakes it, and sleeps until the thread is there.  A thread that is new sleeps until somebody wakes it
for the first time; then its function runs.  :func:`kthread_stop` asks it to end and sleeps until it
has.

A function is one of two things.  A number (``KthreadFn``): then it is hosted, and is called again
and again, one host call each time; it sleeps as a system call does, keeps what it must remember in
RAM, and ends the thread by returning a result.  Or the address of a routine in the image, which
runs in ring 0 with interrupts on, and can be preempted, until it returns.

See: Linux kernel/kthread.c; init/main.c kernel_init().
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NoReturn

from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import START_KERNEL_MAP
from guest_kernel.layout.sched import (
    KTHREAD_SHOULD_STOP,
    KTHREAD_STARTED,
    TASK_UNINTERRUPTIBLE,
    WORK_CALL_FN,
    kthread,
    kthread_create_info,
    sched_data,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail, list_del, list_first_entry_or_null
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process.exit import do_exit
from guest_kernel.process.fork import CLONE_FILES, CLONE_FS, kernel_thread, put_task_struct
from guest_kernel.sched.core import wake_up_process
from guest_kernel.sched.wait import (
    complete,
    init_waitqueue_head,
    schedule_timeout,
    sleep_on,
)
from guest_kernel.signal.signal import ignore_signals


class KthreadFn(IntEnum):
    """What a hosted kernel thread does; a number, because RAM is all that a snapshot keeps."""

    KERNEL_INIT = 1
    KTHREADD = 2
    RUN_PROGRAM = 3
    WORKER_THREAD = 4


# Called with the thread's task; None: call again; a number: the thread ends with this result.
FUNCTIONS: Final[dict[int, Callable[[task_struct], int | None]]] = {}


# Of numbers, no routine's: a routine has an address in the image.
assert max(KthreadFn) < START_KERNEL_MAP


def kthread_init(k: Kernel) -> None:
    """Set up what kthreadd works on."""
    INIT_LIST_HEAD(k.data(sched_data).kthread_create_list)


def to_kthread(task: task_struct) -> kthread:
    """Return what makes ``task`` a kernel thread."""
    found = task.worker_private
    if found is None:
        BUG(f"task {task.pid} is no kernel thread")
    return found


def kthread_create(current: task_struct, threadfn: int, data: int, name: bytes) -> task_struct:
    """Have kthreadd make a thread, which sleeps until it is woken.

    Args:
        threadfn: KthreadFn, or the address of a routine in the image.
        data: its argument.

    Raises:
        Sleep: it is not there yet; the caller is called again, and calls this again.
        SyscallError: ENOMEM, EAGAIN.
    """
    k: Kernel = current.k
    create = current.kthread_create
    if create is None:
        create = kzalloc(k, kthread_create_info)
        _ask_kthreadd(create, threadfn, data, name)
        current.kthread_create = create
    if not create.done.done:
        sleep_on(current, create.done.wait, TASK_UNINTERRUPTIBLE)
    task, error = create.result, create.error
    current.kthread_create = None
    kfree(create)
    if task is None:
        raise SyscallError(Errno(error))
    return task


def _ask_kthreadd(create: kthread_create_info, threadfn: int, data: int, name: bytes) -> None:
    create.threadfn, create.data, create.comm = threadfn, data, name[:15]
    init_waitqueue_head(create.done.wait)
    shared = create.k.data(sched_data)
    list_add_tail(create.list, shared.kthread_create_list)
    assert shared.kthreadd_task is not None
    wake_up_process(shared.kthreadd_task)


def kthread_run_nowait(create: kthread_create_info, threadfn: int, data: int, name: bytes) -> None:
    """Have kthreadd make a thread that runs at once, and do not wait for it.

    For whoever must not sleep, or serves an interrupt.  Linux has no such function: there somebody
    who may sleep is found first.

    Args:
        create: the caller's, until ``done`` is; then ``result`` or ``error`` is the answer.
    """
    create.clear()
    create.nowait = 1
    _ask_kthreadd(create, threadfn, data, name)


def kthread_run(current: task_struct, threadfn: int, data: int, name: bytes) -> task_struct:
    """Make a thread and wake it; as :func:`kthread_create`."""
    task = kthread_create(current, threadfn, data, name)
    wake_up_process(task)
    return task


def kthread_should_stop(current: task_struct) -> bool:
    """Tell whether somebody waits for this thread to end."""
    return bool(to_kthread(current).flags & KTHREAD_SHOULD_STOP)


def kthread_stop(current: task_struct, task: task_struct) -> int:
    """Ask a thread to end, and wait until it has; return its result.

    A thread that was never woken ends without running its function: -EINTR.

    Raises:
        Sleep: it has not ended yet; the caller is called again, and calls this again.
    """
    thread = to_kthread(task)
    if not thread.flags & KTHREAD_SHOULD_STOP:
        task.usage += 1  # until its result has been read
        thread.flags |= KTHREAD_SHOULD_STOP
        wake_up_process(task)
    if not thread.exited.done:
        sleep_on(current, thread.exited.wait, TASK_UNINTERRUPTIBLE)
    result = thread.result
    put_task_struct(task)
    return result


def kthread_step(current: task_struct) -> None:
    """Run one step of a hosted thread, or have the assembly call the routine of another.

    Raises:
        Sleep: it sleeps, or has ended.
    """
    thread = to_kthread(current)
    if not thread.flags & KTHREAD_STARTED:
        _begin(current, thread)
    if thread.threadfn >= START_KERNEL_MAP:
        current.k.ask(WORK_CALL_FN)
        return
    result = FUNCTIONS[thread.threadfn](current)
    if result is not None:
        kthread_exit(current, result)


def _begin(current: task_struct, thread: kthread) -> None:
    """A thread runs for the first time: whoever wanted it made is told, and it sleeps."""
    create = current.kthread_create
    if create is not None:
        current.kthread_create = None
        create.result = current
        complete(create.done)
        if not create.nowait:
            schedule_timeout(current, state=TASK_UNINTERRUPTIBLE)
    thread.flags |= KTHREAD_STARTED
    if thread.flags & KTHREAD_SHOULD_STOP:
        kthread_exit(current, -Errno.EINTR)


def kthread_exit(current: task_struct, result: int) -> NoReturn:
    """End the current thread.

    Raises:
        Sleep: always.
    """
    to_kthread(current).result = result
    do_exit(current, 0)


def kthreadd(current: task_struct) -> None:
    """Make the threads that are asked for.  See kthreadd()."""
    k: Kernel = current.k
    if not to_kthread(current).data:
        ignore_signals(current)  # its children leave no zombies
        to_kthread(current).data = 1
    head = k.data(sched_data).kthread_create_list
    create = list_first_entry_or_null(head, kthread_create_info, "list")
    if create is None:
        schedule_timeout(current)
    assert create is not None
    list_del(create.list)
    try:
        task = kernel_thread(k, create.threadfn, create.data, create.comm,
                             CLONE_FS | CLONE_FILES)
    except SyscallError as error:
        create.error = error.errno
        complete(create.done)
    else:
        task.kthread_create = create


FUNCTIONS[KthreadFn.KTHREADD] = kthreadd
