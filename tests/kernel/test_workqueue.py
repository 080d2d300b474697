"""Workqueues: what is put off is done by kernel threads, in order, once, and can be waited for."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest

from emulator import elf
from guest_kernel import boot, image
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.sched import TASK_IDLE, hrtimer, sched_data, task_struct
from guest_kernel.layout.tty import TTYB_SIZE, tty_data
from guest_kernel.layout.workqueue import (
    WQ_HIGHPRI,
    delayed_work,
    work_struct,
    worker,
    worker_pool,
    workqueue_data,
)
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.page_alloc import drain_local_pages, nr_free_pages
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process import kthread, workqueue
from guest_kernel.process.tasks import for_each_process
from guest_kernel.process.workqueue import (
    CREATE_COOLDOWN,
    IDLE_WORKER_TIMEOUT,
    INIT_DELAYED_WORK,
    INIT_WORK,
    alloc_workqueue,
    cancel_delayed_work,
    cancel_delayed_work_sync,
    cancel_work_sync,
    destroy_workqueue,
    flush_delayed_work,
    flush_work,
    flush_workqueue,
    mod_delayed_work,
    queue_delayed_work,
    queue_work,
    schedule_delayed_work,
    schedule_work,
    system_wq,
    work_pending,
)
from guest_kernel.sched.core import task_nice, task_state
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time import hrtimer as hrtimers
from guest_kernel.time.hrtimer import hrtimer_start
from guest_kernel.time.timekeeping import ktime_get
from ringlet.session import Session
from tests.kernel.driver import MILLISECOND, drive, go_on, pause
from tests.programs.debian import program

NOTE, NAP, AGAIN = 2000, 2001, 2002  # numbers of the functions of a test
INTERRUPT = 2000

Step = Callable[[task_struct], object]
Done = list[tuple[bytes, int, int]]


@pytest.fixture(autouse=True)
def _own_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kthread, workqueue, hrtimers):
        monkeypatch.setattr(module, "FUNCTIONS", functions := dict(module.FUNCTIONS))
        if module is hrtimers:
            monkeypatch.setattr(workqueue, "TIMER_FUNCTIONS", functions)


@pytest.fixture
def done() -> Done:
    """What NOTE and NAP have done: the worker's name, the work's address, when."""
    calls: Done = []

    def note(current: task_struct, work: work_struct) -> None:
        calls.append((current.comm, work.va, ktime_get(current.k)))

    def nap(current: task_struct, work: work_struct) -> None:
        # Where a work's owner would keep it: behind the work.
        until = current.k.u64[(work.pa + work_struct.size) >> 3]
        if not until:
            until = current.k.u64[(work.pa + work_struct.size) >> 3] = (
                ktime_get(current.k) + 10 * MILLISECOND)
        if ktime_get(current.k) < until:
            schedule_timeout(current, until)
        current.k.u64[(work.pa + work_struct.size) >> 3] = 0
        note(current, work)

    workqueue.FUNCTIONS[NOTE] = note
    workqueue.FUNCTIONS[NAP] = nap
    return calls



def make(k: Kernel, func: int) -> work_struct:
    """Return a new work; one that naps is a delayed work's, so that there is room behind it."""
    work = kzalloc(k, delayed_work).work
    INIT_WORK(work, func)
    return work


def workers(session: Session) -> list[bytes]:
    """Return the names of the workers that there are."""
    return [task.comm for task in for_each_process(session.kernel.k)
            if task.comm.startswith(b"kworker")]


def pool_of(session: Session) -> worker_pool:
    return session.kernel.k.data(workqueue_data).cpu_worker_pools[0]


def test_a_kernel_that_puts_nothing_off_has_no_worker(session: Session) -> None:
    """Is a program still pid 3?"""
    assert not workers(session)
    assert session.run([str(program("bash-static")), "-c", "echo $$"]).output == b"3\n"
    assert not workers(session)


def test_works_are_done_in_order_by_one_worker(session: Session, done: Done) -> None:
    """Does one thread, made with the first work, do all, and sleep in TASK_IDLE afterwards?"""
    k = session.kernel.k
    works = [make(k, NOTE) for _ in range(5)]
    results = drive(session, lambda _: [schedule_work(work) for work in works],
                    lambda current: flush_work(current, works[-1]))
    assert results == [[True] * 5, True]
    assert [(name, va) for name, va, _ in done] == [(b"kworker/0:0", work.va) for work in works]
    assert workers(session) == [b"kworker/0:0"]
    task = next(t for t in for_each_process(k) if t.comm == b"kworker/0:0")
    assert task_state(task) == TASK_IDLE
    assert task.real_parent == k.data(sched_data).kthreadd_task


def test_a_work_that_is_pending_is_not_queued_again(session: Session, done: Done) -> None:
    """Is it False until the function is called, and then True?"""
    work = make(session.kernel.k, NOTE)
    results = drive(session, lambda _: [schedule_work(work) for _ in range(3)],
                    lambda current: flush_work(current, work),
                    lambda current: flush_work(current, work),
                    lambda _: schedule_work(work),
                    lambda current: flush_work(current, work))
    assert results == [[True, False, False], True, False, True, True]
    assert len(done) == 2


def test_workers_are_reused(session: Session, done: Done) -> None:
    """Does the same thread do works that come much later?"""
    works = [make(session.kernel.k, NOTE) for _ in range(3)]
    steps: list[Step] = []
    for work in works:
        steps += [lambda _, work=work: schedule_work(work), pause(50 * MILLISECOND)]
    drive(session, *steps)
    assert {name for name, _, _ in done} == {b"kworker/0:0"}
    assert session.kernel.k.data(sched_data).total_forks == forks_of_a_drive(1)


def forks_of_a_drive(nr_workers: int) -> int:
    """Return how many tasks there have been: init, kthreadd, the driver, and workers."""
    return 3 + nr_workers


def test_a_work_that_sleeps_lets_another_worker_do_the_rest(session: Session, done: Done) -> None:
    """Do three naps of 10 ms and a note between them take 10 ms, and no more workers than naps?"""
    k = session.kernel.k
    naps, note = [make(k, NAP) for _ in range(3)], make(k, NOTE)
    begin: list[int] = []

    def queue(current: task_struct) -> None:
        begin.append(ktime_get(k))
        for work in (*naps[:2], note, naps[2]):
            schedule_work(work)

    drive(session, queue, lambda current: flush_workqueue(current, system_wq(k)))
    assert [va for _, va, _ in done] == [note.va, *(nap.va for nap in naps)]
    assert done[0][2] - begin[0] < MILLISECOND
    assert all(10 * MILLISECOND <= at - begin[0] < 11 * MILLISECOND for _, _, at in done[1:])
    assert sorted(workers(session)) == [b"kworker/0:0", b"kworker/0:1", b"kworker/0:2"]
    assert pool_of(session).nr_running == 0
    assert pool_of(session).nr_idle == pool_of(session).nr_workers == 3


def test_max_active_of_one_keeps_works_in_order_though_they_sleep(session: Session,
                                                                  done: Done) -> None:
    """Does the note after a nap wait for it, while the system's workqueue goes on?"""
    k = session.kernel.k
    ordered = alloc_workqueue(k, b"ordered", 0, 1)
    nap, note, other = make(k, NAP), make(k, NOTE), make(k, NOTE)
    drive(session, lambda _: [queue_work(ordered, nap), queue_work(ordered, note),
                              schedule_work(other)],
          lambda current: flush_workqueue(current, ordered),
          lambda current: destroy_workqueue(current, ordered))
    assert [va for _, va, _ in done] == [other.va, nap.va, note.va]


def test_a_work_that_is_queued_while_it_sleeps_is_done_again_by_the_same_worker(
        session: Session, done: Done) -> None:
    """Is a function never called for one work by two workers at a time?"""
    k = session.kernel.k
    nap, note = make(k, NAP), make(k, NOTE)
    results = drive(session, lambda _: schedule_work(nap), pause(5 * MILLISECOND),
                    lambda _: [schedule_work(nap), schedule_work(note)],
                    lambda current: flush_work(current, nap))
    assert results == [True, None, [True, True], True]
    assert [va for _, va, _ in done] == [note.va, nap.va, nap.va]
    names = [name for name, _, _ in done]
    assert names[1] == names[2] != names[0]
    assert done[2][2] - done[1][2] >= 10 * MILLISECOND


@pytest.mark.machine(quantum="20us")
def test_flush_waits_for_what_was_queued_before_it_only(session: Session) -> None:
    """Does a work that queues itself again for ever not hold a flush up?"""
    stop: list[bool] = []

    def body(current: task_struct, work: work_struct) -> None:
        if not stop:
            schedule_work(work)

    workqueue.FUNCTIONS[AGAIN] = body
    k = session.kernel.k
    again = make(k, AGAIN)
    drive(session, lambda _: schedule_work(again), lambda current: flush_work(current, again),
          lambda current: flush_workqueue(current, system_wq(k)), lambda _: stop.append(True),
          lambda current: flush_work(current, again))
    assert not work_pending(again)


def test_cancel_takes_back_what_has_not_begun(session: Session, done: Done) -> None:
    """Is a pending work not done, and one kept back by max_active let go in its place?"""
    k = session.kernel.k
    ordered = alloc_workqueue(k, b"ordered", 0, 1)
    works = [make(k, NOTE) for _ in range(3)]

    def cancel(current: task_struct) -> list[bool]:
        for work in works:
            queue_work(ordered, work)
        return [cancel_work_sync(current, works[n]) for n in (0, 1, 1)]

    results = drive(session, cancel, lambda current: destroy_workqueue(current, ordered))
    assert results[0] == [True, True, False]
    assert not work_pending(works[0])
    assert [va for _, va, _ in done] == [works[2].va]


def test_cancel_sync_waits_for_a_work_that_is_being_done(session: Session, done: Done) -> None:
    """Is the nap over when it returns, the second queueing undone, and a third not accepted?"""
    k = session.kernel.k
    nap = make(k, NAP)
    refused: list[bool] = []

    def late(current: task_struct, work: work_struct) -> None:
        refused.append(schedule_work(nap))

    workqueue.FUNCTIONS[AGAIN] = late
    dwork = kzalloc(k, delayed_work)
    INIT_DELAYED_WORK(dwork, AGAIN)
    results = drive(session, lambda _: schedule_work(nap), pause(2 * MILLISECOND),
                    lambda _: [schedule_work(nap), schedule_delayed_work(dwork, MILLISECOND)],
                    lambda current: cancel_work_sync(current, nap), lambda _: len(done),
                    lambda _: schedule_work(nap), lambda current: flush_work(current, nap))
    assert results[3:] == [True, 1, True, True]
    assert refused == [False]


def test_delayed_work_is_queued_at_its_time(session: Session, done: Done) -> None:
    """Is the timer set for the nanosecond, and is the work done within microseconds of it?"""
    k = session.kernel.k
    dworks = [kzalloc(k, delayed_work) for _ in range(3)]
    begin: list[int] = []

    def queue(current: task_struct) -> None:
        begin.append(ktime_get(k))
        for dwork, delay in zip(dworks, (30, 10, 20), strict=True):
            INIT_DELAYED_WORK(dwork, NOTE)
            assert schedule_delayed_work(dwork, delay * MILLISECOND)
            assert not schedule_delayed_work(dwork, MILLISECOND)
            assert dwork.timer.expires == begin[0] + delay * MILLISECOND

    drive(session, queue, pause(100 * MILLISECOND))
    assert [va for _, va, _ in done] == [dworks[i].work.va for i in (1, 2, 0)]
    for (_, _, at), delay in zip(done, (10, 20, 30), strict=True):
        assert 0 <= at - begin[0] - delay * MILLISECOND < MILLISECOND // 10


def test_delayed_work_can_be_cancelled_flushed_and_put_off(session: Session, done: Done) -> None:
    """Does each do what it says, and say whether the work was pending?"""
    k = session.kernel.k
    dwork = kzalloc(k, delayed_work)
    INIT_DELAYED_WORK(dwork, NOTE)
    wq = system_wq(k)
    results = drive(
        session, lambda _: queue_delayed_work(wq, dwork, 10 * MILLISECOND),
        lambda _: cancel_delayed_work(dwork), pause(20 * MILLISECOND), lambda _: len(done),
        lambda _: queue_delayed_work(wq, dwork, 1000 * MILLISECOND),
        lambda current: flush_delayed_work(current, dwork), lambda _: len(done),
        lambda _: [mod_delayed_work(wq, dwork, 10 * MILLISECOND),
                   mod_delayed_work(wq, dwork, 30 * MILLISECOND)],
        pause(20 * MILLISECOND), lambda _: len(done), pause(20 * MILLISECOND), lambda _: len(done),
        lambda current: cancel_delayed_work_sync(current, dwork),
        lambda _: queue_delayed_work(wq, dwork, 0), lambda current: flush_work(current, dwork.work))
    assert results == [True, True, None, 0, True, True, 1, [False, True], None, 1, None, 2,
                       False, True, True]


def test_work_can_be_queued_by_an_interrupt(session: Session, done: Done) -> None:
    """Does a timer's function, while everybody sleeps, have a work done, and a worker made?"""
    k = session.kernel.k
    work, timer = make(k, NOTE), kzalloc(k, hrtimer)

    def interrupt(timer: hrtimer) -> None:
        schedule_work(work_struct.at(k, timer.data))

    hrtimers.FUNCTIONS[INTERRUPT] = interrupt
    expires: list[int] = []

    def start(current: task_struct) -> None:
        expires.append(ktime_get(k) + 10 * MILLISECOND)
        hrtimer_start(timer, expires[0], INTERRUPT, work.va)

    drive(session, start, pause(50 * MILLISECOND))
    assert [(name, va) for name, va, _ in done] == [(b"kworker/0:0", work.va)]
    assert 0 <= done[0][2] - expires[0] < MILLISECOND // 10


def test_urgent_works_have_workers_of_their_own(session: Session, done: Done) -> None:
    """Is the worker of a WQ_HIGHPRI queue named so, and has it nice -20?"""
    k = session.kernel.k
    wq = alloc_workqueue(k, b"urgent", WQ_HIGHPRI, 0)
    work = make(k, NOTE)
    drive(session, lambda _: queue_work(wq, work), lambda current: flush_work(current, work),
          lambda current: destroy_workqueue(current, wq))
    assert [name for name, _, _ in done] == [b"kworker/0:0H"]
    assert [task_nice(t) for t in for_each_process(k) if t.comm == b"kworker/0:0H"] == [-20]


def test_destroy_waits_for_works_that_queue_works(session: Session, done: Done) -> None:
    """Is all done that the queue's own works have queued there, and is the queue then gone?"""
    k = session.kernel.k
    wq = alloc_workqueue(k, b"chain", 0, 0)
    rest = [make(k, AGAIN) for _ in range(4)]
    count: list[int] = []

    def body(current: task_struct, work: work_struct) -> None:
        count.append(work.va)
        if rest:
            queue_work(wq, rest.pop())

    workqueue.FUNCTIONS[AGAIN] = body
    queues = [w.va for w in (system_wq(k), k.data(workqueue_data).system_highpri_wq) if w]
    drive(session, lambda _: queue_work(wq, rest.pop()),
          lambda current: destroy_workqueue(current, wq))
    assert len(count) == 4
    head = k.data(workqueue_data).workqueues
    assert head.next is not None
    assert head.prev is not None
    assert [head.next.va, head.prev.va] == queues


def test_a_work_that_waits_for_itself_stops_the_machine(session: Session) -> None:
    """Is that deadlock found at once?"""
    work = make(session.kernel.k, AGAIN)
    workqueue.FUNCTIONS[AGAIN] = lambda current, work: flush_work(current, work)
    with pytest.raises(KernelPanic, match="waits for itself"):
        drive(session, lambda _: schedule_work(work), pause(MILLISECOND))


def test_a_worker_that_cannot_be_made_is_made_later(session: Session, done: Done) -> None:
    """If no number is free, is the work done within a second after one is?"""
    k = session.kernel.k
    work = make(k, NOTE)
    data = k.data(sched_data)
    most = data.max_threads

    def shut(current: task_struct) -> None:
        data.max_threads = data.nr_threads
        schedule_work(work)

    def open_again(current: task_struct) -> int:
        data.max_threads = most
        return len(done)

    begin = session.machine.clock
    results = drive(session, shut, pause(500 * MILLISECOND), open_again,
                    lambda current: flush_work(current, work))
    assert results == [None, None, 0, True]
    assert CREATE_COOLDOWN <= done[0][2] - begin < CREATE_COOLDOWN + 10 * MILLISECOND


def test_workers_that_were_idle_for_long_end(session: Session, done: Done) -> None:
    """After six naps at once, are two workers left five minutes later, and the frames free?"""
    k = session.kernel.k
    naps = [make(k, NAP) for _ in range(6)]
    drive(session, lambda _: [schedule_work(nap) for nap in naps],
          lambda current: flush_workqueue(current, system_wq(k)))
    assert len(workers(session)) == 6
    timer = pool_of(session).idle_timer
    idle_since = [w.last_active for w in list_for_each_entry(
        pool_of(session).idle_list, worker, "entry")]
    # From when there were too many; the one that has been idle longest is the last.
    assert timer.expires == idle_since[-3] + IDLE_WORKER_TIMEOUT
    go_on(session, timer.expires - session.machine.clock - MILLISECOND)
    assert len(workers(session)) == 6
    go_on(session, 20 * MILLISECOND)
    assert len(workers(session)) == pool_of(session).nr_workers == 2
    drive(session, lambda _: schedule_work(naps[0]),
          lambda current: flush_work(current, naps[0]))
    assert len(workers(session)) == 2


def test_nothing_is_left_of_works(session: Session, done: Done) -> None:
    """With the workers there, are frames as many as before after many works and workqueues?"""
    k = session.kernel.k

    def batch() -> int:
        wq = alloc_workqueue(k, b"batch", 0, 2)
        works = [make(k, NAP if n % 3 else NOTE) for n in range(20)]
        drive(session, lambda _: [queue_work(wq, work) for work in works],
              lambda current: cancel_work_sync(current, works[7]),
              lambda current: flush_work(current, works[3]),
              lambda current: destroy_workqueue(current, wq))
        for work in works:
            kfree(work)
        drain_local_pages(k)
        return nr_free_pages(k)

    first = batch()
    assert [batch() for _ in range(3)] == [first] * 3


def _busy_run(forgets: Callable[[int], bool]) -> tuple[object, ...]:
    """Queue, nap, cancel and flush, while the hosted half is thrown away where ``forgets`` says."""
    executable = elf.read(image.build())
    with Session(seed=3) as session:
        machine, calls, did = session.machine, [0], []

        def call(value: int) -> None:
            calls[0] += 1
            if forgets(calls[0]):
                session.kernel = boot.attach(machine, executable)
                machine.host_call = call
            session.kernel.call(value)

        machine.host_call = call
        k = session.kernel.k
        works = [make(k, NAP) for _ in range(4)]
        dwork = kzalloc(k, delayed_work)
        INIT_DELAYED_WORK(dwork, NOTE)
        # The references of this list would be to the old kernel: addresses are not.
        at = [work.va for work in works]

        def work_at(current: task_struct, n: int) -> work_struct:
            return work_struct.at(current.k, at[n])

        def delayed(current: task_struct) -> bool:
            return schedule_delayed_work(delayed_work.at(current.k, dwork.va), 5 * MILLISECOND)

        did += drive(
            session, lambda current: [schedule_work(work_at(current, n)) for n in range(4)],
            delayed, lambda current: cancel_work_sync(current, work_at(current, 0)),
            lambda current: flush_workqueue(current, system_wq(current.k)),
            lambda current: schedule_work(work_at(current, 2)),
            lambda current: flush_work(current, work_at(current, 2)))
        return tuple(map(str, did)), machine.clock, machine.fingerprint()


def test_throwing_the_hosted_half_away_changes_nothing(done: Done) -> None:
    """Is all that is known of works, workers and who waits in RAM?"""
    plain = _busy_run(lambda _: False)
    assert plain == _busy_run(lambda _: False)
    assert plain == _busy_run(lambda _: True)
    assert plain == _busy_run(lambda n: n % 7 == 3)


# What the kernel itself puts off: a terminal's input.


def _typed(forgets: Callable[[], bool]) -> tuple[object, ...]:
    """Have cat copy much input on a terminal; return what came out, and how the machine ended."""
    executable = elf.read(image.build())
    with Session(seed=3, tty=True) as session:
        machine = session.machine

        def call(value: int) -> None:
            if forgets():
                session.kernel = boot.attach(machine, executable)
                machine.host_call = call
            session.kernel.call(value)

        machine.host_call = call
        result = session.run([str(program("busybox")), "sh", "-c", "stty -echo; exec cat"],
                             stdin=TYPED + b"\4")
        names = workers(session)
        return result.output, names, machine.clock, machine.fingerprint()


TYPED = b"".join(b"line %d\n" % n for n in range(3000))


def test_a_worker_gives_a_terminals_input_to_its_reader() -> None:
    """Does all of it come, in order, up to its end, whatever is forgotten on the way?"""
    output, names, *end = _typed(lambda: False)
    assert output == TYPED.replace(b"\n", b"\r\n")
    assert names == [b"kworker/0:0"]
    assert _typed(lambda: False)[2:] == tuple(end)
    chance = random.Random(0)
    assert _typed(lambda: chance.random() < 0.05) == (output, names, *end)


@pytest.mark.machine(tty=True)
def test_input_that_nobody_reads_fills_the_ring_and_no_more(session: Session) -> None:
    """Is the other end told to wait, and is what was sent there for the next reader?"""
    k = session.kernel.k
    data = k.data(tty_data)
    typed = b"".join(b"line %d\n" % n for n in range(2000))
    session.machine.uart.feed(typed + b"\4")
    go_on(session, 100 * MILLISECOND)
    buf = data.serial_port.buf
    assert buf.head - buf.tail == TTYB_SIZE
    result = session.run([str(program("busybox")), "sha256sum"])
    echo, last = result.output[:-69], result.output[-69:]
    assert echo == typed.replace(b"\n", b"\r\n")
    assert last.split()[0] == hashlib.sha256(typed).hexdigest().encode()


@pytest.mark.machine(tty=True)
def test_no_frame_is_left_of_a_terminals_input(session: Session) -> None:
    """Once the worker is there, are frames after a program as many as before it?"""
    argv = [str(program("busybox")), "head", "-n", "2"]
    k = session.kernel.k
    left = []
    for _ in range(4):
        session.machine.uart.feed(b"some\nlines\n")
        assert session.run(argv).output == b"some\r\nlines\r\n" * 2
        drain_local_pages(k)
        left.append(nr_free_pages(k))
    assert left[1:] == left[:1] * 3


def test_a_pipes_input_needs_no_worker(session: Session) -> None:
    """Does the interrupt itself tell the reader?"""
    assert session.run([str(program("busybox")), "cat"], stdin=b"some\n").output == b"some\n"
    assert not workers(session)
