"""Random trees of processes leave nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import sched_data, task_struct
from guest_kernel.mm.page_alloc import drain_local_pages, nr_free_pages
from guest_kernel.mm.slab import for_each_slab_cache, kmem_cache_usage, shrink_slabs
from guest_kernel.process.tasks import for_each_process_thread
from ringlet.session import DeadlockError, Session
from tests.guest import compile_c

PROGRAM: Final = Path(__file__).with_name("process_tree.c")
WORDS: Final = st.text("fffvtTPxeEwwWkKscgGSrdimyznnNaAAbBp>><<-", min_size=1, max_size=14)
TIMEOUT: Final = 5  # virtual seconds; a tree whose parent waits for a stopped child takes them all


class Left(NamedTuple):
    """What is there when no program runs.

    Attributes:
        tasks: the names of all.
        processes: of the user's.
        frames: free, or in slabs.
        objects: in use, by the name of the cache.
    """

    tasks: list[bytes]
    processes: int
    frames: int
    objects: dict[str, int]


def left(session: Session) -> Left:
    """Count what is there."""
    k = session.kernel.k
    shrink_slabs(k)
    drain_local_pages(k)
    user = task_struct.at(k, k.data(sched_data).init_task.va).user
    assert user is not None
    usage = {cache.name.decode(): kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(k)}
    # A cache is made with its first object, and stays.
    objects = {name: n for name, n in usage.items() if n and name != "kmem_cache"}
    # Objects are compared one by one; how many slabs they are spread over is chance.
    return Left(sorted(task.comm for task in for_each_process_thread(k)), user.processes,
                nr_free_pages(k) + k.data(mm_data).nr_slab_pages, objects)


def run_tree(word: str) -> tuple[object, ...]:
    """Run the program on ``word``, end what it has left, and look at what is there then.

    Returns:
        What two runs must agree in.
    """
    program = str(compile_c(PROGRAM))
    with Session(seed=1, panic_on_oops=True) as session:
        for warm_up in ("npftTPvw!", "!", "N"):  # caches, and the file, are there from now on
            session.run([program, warm_up])
        before = left(session)
        try:
            result = session.run([program, word], timeout=TIMEOUT)
        except DeadlockError:
            return ("it waits for a child that is stopped",)
        if result.status == 124:
            return ("timeout",)
        session.run([program, "!"])
        # Not with the set: what is to be undone goes with the task that has done it.
        assert not {"sem_undo", "sem_undo_list"} & left(session).objects.keys(), word
        session.run([program, "N"])
        assert left(session) == before, word
        return result.status, session.machine.clock, session.machine.fingerprint()


@pytest.mark.parametrize("word", ["", "f", "fw", "ffw", "t", "tt", "fx", "vvw", "fsckw", "P", "Tw",
                                  "tx", "ftex", "fKw", "rffe", "ifw", "fdK", "Sfgw", "pf<>w",
                                  "pt-<<", "pf>>>>>k", "nfAaw", "ntAa", "nfaNw", "nfAk", "naxA"])
def test_small_trees_leave_nothing_behind(word: str) -> None:
    """Is everything of these free again: tasks, numbers, frames, objects?"""
    run_tree(word)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_random_trees_leave_nothing_behind(word: str) -> None:
    """Is everything free again after fork, exec, wait, kill, exit in any order?"""
    run_tree(word)


@settings(max_examples=10, deadline=None)
@given(WORDS)
def test_random_trees_run_the_same_twice(word: str) -> None:
    """Same tree: same clock, same RAM?"""
    assert run_tree(word) == run_tree(word)


@pytest.mark.campaign
@settings(max_examples=1000, deadline=None)
@given(WORDS)
def test_many_random_trees_leave_nothing_behind(word: str) -> None:
    """The same for a thousand."""
    run_tree(word)
