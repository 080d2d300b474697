"""Random signals over random trees of processes: who is killed ends, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringlet.session import Session
from tests.guest import compile_c
from tests.kernel.leftovers import left

PROGRAM: Final = Path(__file__).with_name("signal_storm.c")
LETTERS: Final = "fffftthRoOidjcgGkkkklqqQ@bbuuTTzpysPwWe0123456789"
WORDS: Final = st.text(LETTERS, min_size=1, max_size=40)
TIMEOUT: Final = 60  # virtual seconds: somebody who was killed has not ended


def run_storm(word: str, **options: str) -> tuple[object, ...]:
    """Let a storm blow, look at what is there then, and return what two runs must agree in."""
    program = str(compile_c(PROGRAM))
    with Session(seed=1, panic_on_oops=True, **options) as session:  # type: ignore[arg-type]  # a policy
        # Caches, the file, and a second level of process numbers are there from now on.
        for warm_up in ("ft0hk2qTz", *["fffff"] * 3, ""):
            session.run([program, warm_up])
        before = left(session)
        result = session.run([program, word], timeout=TIMEOUT)
        assert result.status == 0, (word, result)
        assert left(session) == before, word
        return result.output, session.machine.clock, session.machine.fingerprint()


@pytest.mark.parametrize("word", [
    "", "k", "c", "f8k", "ff8kkk", "0hfkkkk", "2hfqqqqu", "0bfkQu", "2bbfQQe", "t0hlll", "tt8l",
    "5hf6kW5kW", "f7k5kw", "7@", "ff7kkk5G", "0hjjj", "9hjcjc", "9oj@", "4hfffwww", "4iffffz",
    "0sf0k", "2Tf2q", "0hs", "Pf8k", "6@", "g6@", "4Offee", "0Rf0kkkkzzzz", "1hff1GGGG",
    "ftftft8G", "2b" + "Q" * 20])
def test_small_storms_leave_nothing_behind(word: str) -> None:
    """Is everybody gone whom SIGKILL was sent to, and everything free again?"""
    run_storm(word)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_random_storms_leave_nothing_behind(word: str) -> None:
    """The same after signals of any kind in any order."""
    run_storm(word)


@settings(max_examples=10, deadline=None)
@given(WORDS, st.sampled_from(["fair", "rr", "lottery", "mlfq"]))
def test_random_storms_blow_the_same_twice(word: str, sched: str) -> None:
    """Same storm: same clock, same RAM?"""
    assert run_storm(word, sched=sched) == run_storm(word, sched=sched)


@pytest.mark.campaign
@settings(max_examples=1500, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=80))
def test_many_random_storms_leave_nothing_behind(word: str) -> None:
    """The same for many, and longer ones."""
    run_storm(word)
