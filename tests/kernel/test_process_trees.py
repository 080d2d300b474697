"""Random trees of processes leave nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringlet.session import DeadlockError, Session
from tests.guest import compile_c
from tests.kernel.leftovers import left

PROGRAM: Final = Path(__file__).with_name("process_tree.c")
WORDS: Final = st.text("fffvtTPxeEwwWkKscgGSrdimyznnNaAAbBp>><<-", min_size=1, max_size=14)
TIMEOUT: Final = 5  # virtual seconds; a tree whose parent waits for a stopped child takes them all


def run_tree(word: str) -> tuple[object, ...]:
    """Run the program on ``word``, end what it has left, and look at what is there then.

    Returns:
        What two runs must agree in.
    """
    program = str(compile_c(PROGRAM))
    with Session(seed=1, panic_on_oops=True) as session:
        # Caches, the file, and a second level of process numbers are there from now on.
        for warm_up in ("npftTPvw!", *["ffffw!"] * 5, "!", "N"):
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
