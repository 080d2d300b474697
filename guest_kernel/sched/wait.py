"""Wait queues, and sleeping by retrying.

A handler that has to wait puts its task on a queue, sets its state and raises ``Sleep``; the
assembly calls schedule(), and after the wake-up makes the same host call again, whose handler looks
at its condition again.  What must survive until then lies in the task's restart block.  The
dispatcher calls :func:`finish_wait` before each new try, so a handler always starts off all queues.

See: Linux kernel/sched/wait.c; include/linux/wait.h, wait_event_interruptible().
"""

from __future__ import annotations

from typing import Final, NoReturn

from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.sched import (
    HRTIMER_BASE_MONOTONIC,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NORMAL,
    TASK_WAKEKILL,
    TIF_SIGPENDING,
    completion,
    hrtimer,
    task_struct,
    wait_queue_entry,
    wait_queue_head,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail_va, list_del_va, list_empty
from guest_kernel.mm.filemap import fput_pa, get_file
from guest_kernel.mm.slab import free_struct, kzalloc
from guest_kernel.sched.core import set_task_state, try_to_wake_up, wake_up_process
from guest_kernel.sched.preempt import might_sleep
from guest_kernel.signal.numbers import SIGKILL, sigmask
from guest_kernel.time.hrtimer import FUNCTIONS, HrtimerFn, hrtimer_cancel, hrtimer_start
from guest_kernel.time.timekeeping import ktime_get

_PRIVATE: Final = wait_queue_entry.offsetof("private")
_ENTRY: Final = wait_queue_entry.offsetof("entry")
_MORE: Final = wait_queue_entry.offsetof("more")
_FILP: Final = wait_queue_entry.offsetof("filp")
_PRIVATE_FROM_ENTRY: Final = _PRIVATE - _ENTRY
_HEAD: Final = wait_queue_head.offsetof("head")
_TI_FLAGS: Final = task_struct.offsetof("thread_info.flags")
_WAIT: Final = task_struct.offsetof("wait")
_TIMER_IS_QUEUED: Final = task_struct.offsetof("sleep_timer.is_queued")

NEVER: Final = (1 << 64) - 1


def signal_pending(task: task_struct) -> bool:
    """Tell whether ``task`` has a signal to take before it may sleep on."""
    return bool(task.k.u64[(task.pa + _TI_FLAGS) >> 3] & TIF_SIGPENDING)


def fatal_signal_pending(task: task_struct) -> bool:
    """Tell whether ``task`` is being killed."""
    return signal_pending(task) and bool(task.pending.signal & sigmask(SIGKILL))


def init_waitqueue_head(queue: wait_queue_head) -> None:
    """Make an empty queue."""
    INIT_LIST_HEAD(queue.head)


def prepare_to_wait(task: task_struct, queue: wait_queue_head, f: file | None = None) -> None:
    """Put ``task`` at the end of ``queue``, which ``f``, if it is given, must outlive.

    Raises:
        OutOfFrames: it sleeps on another queue already, and nothing is left for an entry.
    """
    k, va = task.k, task.va
    u64, first = k.u64, task.pa + _WAIT
    entry = va + _WAIT
    if u64[(first + _PRIVATE) >> 3]:  # it lies in the task itself, and is taken
        entry = kzalloc(k, wait_queue_entry).va
        u64[((entry & PHYSICAL_MASK) + _MORE) >> 3] = u64[(first + _MORE) >> 3]
        u64[(first + _MORE) >> 3] = entry
    u64[((entry & PHYSICAL_MASK) + _PRIVATE) >> 3] = va
    if f is not None:
        u64[((entry & PHYSICAL_MASK) + _FILP) >> 3] = get_file(f).va
    list_add_tail_va(u64, entry + _ENTRY, queue.va + _HEAD)


def finish_wait(task: task_struct) -> None:
    """Take ``task`` off every queue, and its sleep timer out of the tree."""
    k = task.k
    if va := k.u64[(task.pa + _WAIT + _PRIVATE) >> 3]:
        more = _leave_queue(k, va + _WAIT)
        while more:
            entry = more
            more = _leave_queue(k, entry)
            free_struct(k, wait_queue_entry, entry & PHYSICAL_MASK)
    if k.u32[(task.pa + _TIMER_IS_QUEUED) >> 2]:
        hrtimer_cancel(task.sleep_timer)


def _leave_queue(k: Kernel, entry: int) -> int:
    """Take the entry at this address off its queue; return the address of the task's next."""
    u64, pa = k.u64, entry & PHYSICAL_MASK
    list_del_va(u64, entry + _ENTRY)
    more: int = u64[(pa + _MORE) >> 3]
    filp = u64[(pa + _FILP) >> 3]
    u64[(pa + _PRIVATE) >> 3] = u64[(pa + _MORE) >> 3] = 0
    if filp:
        u64[(pa + _FILP) >> 3] = 0
        fput_pa(k, filp & PHYSICAL_MASK)
    return more


def sleep_on(task: task_struct, queue: wait_queue_head, state: int = TASK_INTERRUPTIBLE,
             expires: int = NEVER) -> NoReturn:
    """Sleep until ``queue`` is woken or ``expires`` is reached, then be called again.

    Args:
        state: TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE.
        expires: monotonic nanoseconds.

    Raises:
        Sleep: always, but for:
        SyscallError: ERESTARTSYS: a signal waits that this sleep may be interrupted by.  Whoever
            has done a part already looks at :func:`signal_pending` first.
    """
    _check_signals(task, state)
    prepare_to_wait(task, queue)
    _sleep(task, expires, state)


def schedule_timeout(task: task_struct, expires: int = NEVER, state: int = TASK_INTERRUPTIBLE,
                     base: int = HRTIMER_BASE_MONOTONIC) -> NoReturn:
    """Sleep until woken, or until the clock reaches ``expires``, then be called again.

    Args:
        base: HRTIMER_BASE_*: which clock.

    Raises:
        Sleep, SyscallError: as :func:`sleep_on`.
    """
    _check_signals(task, state)
    _sleep(task, expires, state, base)


def start_sleep_timer(task: task_struct, delay: int) -> None:
    """Have ``task`` woken in ``delay`` ns; less than 0: not.  :func:`finish_wait` undoes it.

    For routines of the image, which call schedule() themselves.
    """
    if delay >= 0:
        hrtimer_start(task.sleep_timer, ktime_get(task.k) + delay, HrtimerFn.WAKE_TASK, task.va)


def _sleep(task: task_struct, expires: int, state: int,
           base: int = HRTIMER_BASE_MONOTONIC) -> NoReturn:
    might_sleep(task.k)
    if expires != NEVER:
        hrtimer_start(task.sleep_timer, expires, HrtimerFn.WAKE_TASK, task.va, base)
    set_task_state(task, state)
    raise Sleep


def _check_signals(task: task_struct, state: int) -> None:
    """Refuse a sleep in ``state`` that a signal which waits would end.  See signal_pending_state().

    Raises:
        SyscallError: ERESTARTSYS.
    """
    if signal_pending(task) if state & TASK_INTERRUPTIBLE else (
            state & TASK_WAKEKILL and fatal_signal_pending(task)):
        raise SyscallError(Errno.ERESTARTSYS)


def wake_up(queue: wait_queue_head) -> None:
    """Wake everyone on ``queue``; each looks at its condition again."""
    wake_up_pa(queue.k, queue.pa)


def wake_up_pa(k: Kernel, queue: int) -> None:
    """Do as :func:`wake_up` with the queue at a physical address."""
    u64, head = k.u64, queue + _HEAD
    node = u64[head >> 3] & PHYSICAL_MASK
    while node != head:
        following = u64[node >> 3] & PHYSICAL_MASK
        sleeper = u64[(node + _PRIVATE_FROM_ENTRY) >> 3] & PHYSICAL_MASK
        try_to_wake_up(task_struct(k, sleeper), TASK_NORMAL)
        node = following


def wait_for_completion_killable(task: task_struct, done: completion) -> None:
    """Sleep until ``done`` is complete, or ``task`` is killed; then be called again.

    Raises:
        Sleep: it is not complete.
        SyscallError: ERESTARTSYS: the task is being killed.
    """
    if not done.done:
        sleep_on(task, done.wait, TASK_KILLABLE)


def complete(done: completion) -> None:
    """Say that ``done`` is, to whoever waits for it."""
    done.done = 1
    wake_up(done.wait)


def waitqueue_active(queue: wait_queue_head) -> bool:
    """Tell whether anyone waits."""
    return not list_empty(queue.head)


def _wake_task(timer: hrtimer) -> None:
    wake_up_process(task_struct.at(timer.k, timer.data))


FUNCTIONS[HrtimerFn.WAKE_TASK] = _wake_task


# poll(2)


class poll_table:
    """The queues that a polling task is put on.

    Attributes:
        task: who polls.
        filp: the file that is being asked.
    """

    def __init__(self, task: task_struct) -> None:
        self.task = task
        self.filp: file | None = None


def poll_wait(queue: wait_queue_head, table: poll_table | None) -> None:
    """Have the polling task woken with ``queue``."""
    if table is not None:
        prepare_to_wait(table.task, queue, table.filp)


def poll_schedule_timeout(current: task_struct, expires: int) -> NoReturn:
    """Sleep on the queues that poll_wait() has named, at most until ``expires``."""
    schedule_timeout(current, expires)
