"""The example of lazy initialisation: a thread with a list, a lock, sleeps with a time limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator import elf
from guest_kernel import boot, image
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET
from guest_kernel.layout.lazyinit import LI_GROUP_SIZE, lazy_init, li_request
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.page_alloc import alloc_pages, drain_local_pages, free_pages, nr_free_pages
from guest_kernel.mm.slab import kfree
from guest_kernel.process import kthread
from guest_kernel.process.lazyinit import (
    destroy_lazyinit_thread,
    li_info_new,
    register_li_request,
    run_lazyinit_thread,
)
from ringlet.session import Session
from tests.kernel.driver import MILLISECOND, drive, pause

ORDER = 3  # of a table: 8 groups
GROUPS = 1 << ORDER


@pytest.fixture(autouse=True)
def _own_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kthread, "FUNCTIONS", dict(kthread.FUNCTIONS))


def new_table(k: Kernel) -> int:
    """Return the physical address of a table full of what was there before."""
    pa = alloc_pages(k, ORDER)
    k.u8[pa : pa + GROUPS * LI_GROUP_SIZE] = b"\xAA" * (GROUPS * LI_GROUP_SIZE)
    return pa


def initialised(k: Kernel, table: int) -> list[bool]:
    """Tell of each group whether it is zero."""
    return [not any(k.u8[table + n * LI_GROUP_SIZE : table + (n + 1) * LI_GROUP_SIZE])
            for n in range(GROUPS)]


def run(eli: lazy_init) -> Callable[[task_struct], None]:
    return lambda current: run_lazyinit_thread(current, lazy_init.at(current.k, eli.va))


def stop(eli: lazy_init) -> Callable[[task_struct], int]:
    return lambda current: destroy_lazyinit_thread(current, lazy_init.at(current.k, eli.va))


def register(eli: lazy_init, table: int, timeout: int) -> Callable[[task_struct], li_request]:
    return lambda current: register_li_request(lazy_init.at(current.k, eli.va),
                                               table + PAGE_OFFSET, GROUPS, timeout)


def test_tables_are_initialised_group_by_group(session: Session) -> None:
    """With 10 ms between groups, and 20 ms for another table, is each done when it is due?"""
    k = session.kernel.k
    eli, quick, slow = li_info_new(k), new_table(k), new_table(k)
    results = drive(
        session, run(eli), register(eli, quick, 10 * MILLISECOND),
        register(eli, slow, 20 * MILLISECOND), pause(5 * MILLISECOND),
        lambda _: (sum(initialised(k, quick)), sum(initialised(k, slow))),
        pause(30 * MILLISECOND), lambda _: (initialised(k, quick), initialised(k, slow)),
        pause(200 * MILLISECOND), lambda _: (sum(initialised(k, quick)), sum(initialised(k, slow))),
        stop(eli))
    assert results[4] == (0, 0)
    assert results[6] == ([True] * 3 + [False] * 5, [True] + [False] * 7)
    assert results[8:] == [(8, 8), 16]


def test_request_comes_while_the_thread_sleeps_without_limit(session: Session) -> None:
    """Does a new request wake a thread that had nothing to do, and is a done one off the list?"""
    k = session.kernel.k
    eli, first, second = li_info_new(k), new_table(k), new_table(k)
    results = drive(
        session, run(eli), register(eli, first, MILLISECOND), pause(50 * MILLISECOND),
        lambda _: eli.li_request_list.next == eli.li_request_list,
        register(eli, second, MILLISECOND), pause(50 * MILLISECOND), stop(eli))
    assert results[3] is True
    for n in (1, 4):
        request = results[n]
        assert isinstance(request, li_request)
        assert request.lr_next_group == request.lr_ngroups == GROUPS
    assert all(initialised(k, first) + initialised(k, second))
    assert results[-1] == 16


def test_stop_wakes_the_thread_from_its_sleep(session: Session) -> None:
    """Does it end at once, between two groups that are a second apart, with its timer disarmed?"""
    k = session.kernel.k
    eli, table = li_info_new(k), new_table(k)
    times: list[int] = []
    results = drive(
        session, run(eli), register(eli, table, 400 * MILLISECOND), pause(500 * MILLISECOND),
        lambda _: times.append(session.machine.clock), stop(eli),
        lambda _: times.append(session.machine.clock))
    assert results[4] == 1
    assert initialised(k, table) == [True] + [False] * 7
    assert times[1] - times[0] < MILLISECOND


def test_nothing_is_left_of_the_thread(session: Session) -> None:
    """Are frames as many as before, when some requests were done and others not?"""
    k = session.kernel.k

    def once() -> int:
        eli, done, undone = li_info_new(k), new_table(k), new_table(k)
        results = drive(session, run(eli), register(eli, done, MILLISECOND),
                        register(eli, undone, 20 * MILLISECOND), pause(50 * MILLISECOND), stop(eli))
        assert isinstance(results[1], li_request)
        kfree(results[1])
        for table in (done, undone):
            free_pages(k, table, ORDER)
        drain_local_pages(k)
        return nr_free_pages(k)

    first = once()
    assert [once() for _ in range(3)] == [first] * 3


def test_throwing_the_hosted_half_away_changes_nothing() -> None:
    """Is all that the thread knows in RAM and in its registers?"""
    executable = elf.read(image.build())

    def machine_after(forgets: bool) -> tuple[object, ...]:
        with Session(seed=3) as session:
            machine = session.machine

            def call(value: int) -> None:
                if forgets:
                    session.kernel = boot.attach(machine, executable)
                    machine.host_call = call
                session.kernel.call(value)

            machine.host_call = call
            k = session.kernel.k
            eli, table = li_info_new(k), new_table(k)
            results = drive(session, run(eli), register(eli, table, 3 * MILLISECOND),
                            pause(16 * MILLISECOND), stop(eli))
            return results[3], initialised(k, table), machine.clock, machine.fingerprint()

    plain = machine_after(False)
    assert plain[:2] == (5, [True] * 5 + [False] * 3)
    assert plain == machine_after(False) == machine_after(True)
