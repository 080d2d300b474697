"""The options that choose a scheduling policy are understood, or refused with the reason."""

from __future__ import annotations

import pytest

from guest_kernel.sched.core import SCHED_CLASSES
from guest_kernel.sched.options import POLICIES, Options, parse, parse_time


@pytest.mark.parametrize(("text", "ns"), [
    ("250", 250), ("250ns", 250), ("10us", 10_000), ("4ms", 4_000_000), ("1s", 10**9),
])
def test_times_have_units(text: str, ns: int) -> None:
    """Is a number one of nanoseconds unless it says otherwise?"""
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "ms", "1.5ms", "-1", "1m", "1sms", "4 ms", "٣", "1001s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Is nothing guessed?"""
    with pytest.raises(ValueError, match=r"is not a time such as 4ms|is more than 1000 s"):
        parse_time(text)


def test_every_name_is_its_class() -> None:
    """Does each policy's number lead to the class of that name?"""
    for name, number in POLICIES.items():
        assert type(SCHED_CLASSES[number]).__name__ == f"{name}_sched_class"


def test_quantum_is_also_the_allotment() -> None:
    """Does mlfq let a task sink after one quantum, unless it is told otherwise?"""
    assert parse("mlfq,queues=5", "10ms") == Options("mlfq", 10**7, 5, 10**7)
    assert parse("mlfq,allotment=20ms,boost=0", "10ms") == Options("mlfq", 10**7, 3, 2 * 10**7, 0)


@pytest.mark.parametrize(("sched", "quantum", "message"), [
    ("cfs", None, "'cfs' is no scheduling policy: choose from fair, fifo, lottery, mlfq, rr, sjf, "
                  "stcf, stride"),
    ("fifo", "4ms", "fifo has no quantum: a task runs as long as it likes"),
    ("rr", "49", "'49' is less than 50 ns"),
    ("rr", "soon", "'soon' is not a time such as 4ms"),
    ("rr,queues=3", None, "rr has no option 'queues=3'"),
    ("mlfq,queue=3", None, "mlfq has no option 'queue=3'"),
    ("mlfq,queues", None, "mlfq has no option 'queues'"),
    ("mlfq,queues=17", None, "'17' is not a number of queues, 1 to 16"),
    ("mlfq,allotment=1", None, "'1' is less than 50 ns"),
])
def test_what_makes_no_sense_is_refused(sched: str, quantum: str | None, message: str) -> None:
    """Is the reason given, and no option ignored?"""
    with pytest.raises(ValueError, match=r".") as error:
        parse(sched, quantum)
    assert str(error.value) == message
