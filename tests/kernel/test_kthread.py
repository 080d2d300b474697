"""Kernel threads: made by kthreadd, woken, asked to stop; hosted, or a routine of the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from guest_kernel.errors import Errno
from guest_kernel.image import NR_EVENTS
from guest_kernel.layout.sched import PF_KTHREAD, task_struct
from guest_kernel.process import kthread
from guest_kernel.process.tasks import for_each_process
from guest_kernel.sched.core import wake_up_process
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time.timekeeping import ktime_get
from ringlet.session import Session
from tests.kernel.driver import MILLISECOND, drive, go_on, pause

BODY = 2001  # the number of a test's function


@pytest.fixture(autouse=True)
def _own_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kthread, "FUNCTIONS", dict(kthread.FUNCTIONS))


def threads(session: Session) -> Iterator[bytes]:
    """Yield the names of kthreadd's children."""
    for task in for_each_process(session.kernel.k):
        assert task.real_parent is not None
        if task.real_parent.pid == 2:
            yield task.comm


def test_thread_sleeps_until_it_is_woken_for_the_first_time(session: Session) -> None:
    """Is a thread that was created there, kthreadd's child, without having run?"""
    ran = []
    kthread.FUNCTIONS[BODY] = lambda current: ran.append(current.pid) or 7
    made: list[task_struct] = []

    def create(current: task_struct) -> None:
        made.append(kthread.kthread_create(current, BODY, 0, b"worker"))

    drive(session, create)
    task = made[0]
    assert list(threads(session)) == [b"worker"]
    assert task.flags & PF_KTHREAD
    assert task.mm is None
    assert not ran
    wake_up_process(task)
    go_on(session, MILLISECOND)
    assert ran == [task.pid]
    assert not list(threads(session))  # it has ended, and left no zombie


def test_stop_waits_for_the_end_and_returns_the_result(session: Session) -> None:
    """Does a thread that sleeps and looks whether it should stop end with its own result?"""
    beats = []

    def body(current: task_struct) -> int | None:
        if not kthread.kthread_should_stop(current):
            beats.append(ktime_get(current.k))
            schedule_timeout(current, beats[-1] + 10 * MILLISECOND)
        return len(beats)

    kthread.FUNCTIONS[BODY] = body
    made: list[task_struct] = []

    def run(current: task_struct) -> None:
        made.append(kthread.kthread_run(current, BODY, 0, b"ext4lazyinit"))

    results = drive(session, run, pause(95 * MILLISECOND),
                    lambda current: kthread.kthread_stop(current, made[0]))
    assert results[2] == len(beats) == 10
    assert not list(threads(session))


def test_thread_that_is_stopped_before_it_was_woken_does_not_run(session: Session) -> None:
    """Is the result -EINTR, and the function never called?"""
    ran = []
    kthread.FUNCTIONS[BODY] = lambda current: ran.append(current.pid) or 7
    made: list[task_struct] = []

    def create(current: task_struct) -> None:
        made.append(kthread.kthread_create(current, BODY, 0, b"never"))

    results = drive(session, create, lambda current: kthread.kthread_stop(current, made[0]))
    assert results[1] == -Errno.EINTR
    assert not ran


def test_producer_and_consumer_lose_no_event(session: Session) -> None:
    """Do two routines in ring 0, with interrupts on, a lock and a list, pass every event?"""
    symbols = session.kernel.k.symbols
    made: list[task_struct] = []

    def consumer(current: task_struct) -> None:
        made.append(kthread.kthread_run(current, symbols["event_consumer"], 0, b"consumer"))

    def producer(current: task_struct) -> None:
        made.append(kthread.kthread_run(current, symbols["event_producer"], made[0].va,
                                        b"producer"))

    def hold(current: task_struct) -> None:
        for task in made:
            task.usage += 1  # so that their results can be read after their end

    def stop(n: int) -> Callable[[task_struct], int]:
        return lambda current: kthread.kthread_stop(current, made[n])

    results = drive(session, consumer, producer, hold, pause(50 * MILLISECOND), stop(1), stop(0))
    assert results[4:] == [NR_EVENTS, sum(range(1, NR_EVENTS + 1))]
