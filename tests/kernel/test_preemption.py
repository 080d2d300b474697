"""Processes that share what can be shared, in turns of any length from 50 code bytes up.

A turn of 50 is a tenth of what the switch to it costs: at that length a program is interrupted
between almost any two of its instructions.
"""

from __future__ import annotations

import random
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.layout.sched import sched_data
from ringlet.session import Session
from tests.guest import compile_c, run_native
from tests.kernel.amnesia import forgetful

PROGRAM: Final = Path(__file__).with_name("preempted.c")
OUTPUT: Final = b"""\
child 0: status 0, rounds 01234
child 1: status 0xb00, rounds 01234
child 2: status 0x1600, rounds 01234
child 3: status 0x9, rounds 01234
20 records, counter 21, semaphores 1 and 0
"""
QUANTA: Final = (50, 51, 53, 64, 97, 100, 250, 600, 1000, 4001, 20_000, None)
OTHERS: Final = ("rr", "mlfq", "lottery", "stride")  # policies that have turns
TIMEOUT: Final = 1  # virtual seconds; a run takes a third of a millisecond


class Run(NamedTuple):
    """What two runs must agree in.

    Attributes:
        pages: a digest of each page of RAM that holds anything, so that a difference has a place.
    """

    status: int
    output: bytes
    clock: int
    switches: int
    pages: dict[int, str]


def run(quantum: int | None, sched: str = "fair", amnesia: float = 0.0) -> Run:
    """Run the program.

    Args:
        amnesia: how likely it is at a trap that the kernel's Python half is made anew.
    """
    chance = random.Random(quantum)
    with Session(seed=1, panic_on_oops=True, sched=sched, quantum=quantum) as session:
        if amnesia:
            session.machine.host_call = forgetful(session, lambda: chance.random() < amnesia)
        result = session.run([str(compile_c(PROGRAM))], timeout=TIMEOUT)
        switches = session.kernel.k.data(sched_data).runqueues.nr_switches
        ram = session.machine.ram
        pages = {pa: blake2b(ram.u8[pa : pa + PAGE_SIZE], digest_size=8).hexdigest()
                 for pa in ram.resident_pages()}
        return Run(result.status, result.output, session.machine.clock, switches, pages)


def check(quantum: int | None, sched: str = "fair") -> Run:
    """Run it three times, once with amnesia: right, and the same?"""
    first = run(quantum, sched)
    assert (first.status, first.output) == (0, OUTPUT)
    assert run(quantum, sched) == first
    assert run(quantum, sched, amnesia=0.05) == first
    return first


@pytest.mark.native
def test_linux_prints_the_same() -> None:
    """Is what is compared with what Linux prints?"""
    assert run_native([str(compile_c(PROGRAM))]) == (0, OUTPUT)


@pytest.mark.parametrize("quantum", QUANTA)
def test_turns_of_any_length_change_nothing_but_the_order(quantum: int | None) -> None:
    """Are output, clock and RAM the same twice, and with the hosted half thrown away at traps?"""
    check(quantum)


@pytest.mark.parametrize("sched", OTHERS)
def test_nor_do_they_under_another_policy(sched: str) -> None:
    """The same, whoever schedules, in the shortest turns."""
    check(50, sched)


def test_the_shortest_turns_interrupt_more() -> None:
    """Are the processes preempted at all?"""
    assert run(50).switches > 2 * run(None).switches


def test_amnesia_at_every_trap_changes_nothing() -> None:
    """Does no trap of a preempted process leave anything in Python?"""
    assert run(50, amnesia=1.0) == run(50)


@pytest.mark.campaign
@pytest.mark.parametrize("quantum", range(50, 601))
def test_each_length_of_a_turn_changes_nothing(quantum: int) -> None:
    """The same for every length up to one that is longer than a switch."""
    check(quantum)
    check(quantum, OTHERS[quantum % len(OTHERS)])
