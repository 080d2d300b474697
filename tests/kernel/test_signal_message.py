"""A message goes from one process to another bit by bit, and each bit is a signal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from guest_kernel.sched.options import POLICIES
from ringlet.session import Session
from tests.guest import compile_c, run_native

PROGRAM: Final = Path(__file__).with_name("signal_message.c")
SIZE: Final = 10_000  # bytes
FEW: Final = 100
TIMEOUT: Final = 600  # virtual seconds
OTHERS: Final = sorted(set(POLICIES) - {"fair"})


def run_message(size: int, **options: str) -> tuple[int, bytes, int, str]:
    """Send a message; return what two runs must agree in."""
    with Session(seed=1, panic_on_oops=True, **options) as session:  # type: ignore[arg-type]  # a policy
        result = session.run([str(compile_c(PROGRAM)), str(size)], timeout=TIMEOUT)
        return (result.status, result.output, session.machine.clock,
                session.machine.fingerprint())


def expected(size: int) -> tuple[int, bytes]:
    return 0, b"%d bits, 0 wrong bytes, 0 from elsewhere, client 0\n" % (size * 8)


@pytest.mark.native
def test_message_arrives_on_linux() -> None:
    """Does the program itself lose nothing?"""
    assert run_native([str(compile_c(PROGRAM)), str(FEW)]) == expected(FEW)


def test_message_arrives_whole() -> None:
    """Do 80 000 signals and as many answers all arrive?"""
    assert run_message(SIZE)[:2] == expected(SIZE)


@pytest.mark.parametrize("sched", sorted(POLICIES))
def test_message_arrives_under_each_policy(sched: str) -> None:
    """Does a shorter one arrive, and twice in the same way, whoever schedules?"""
    first = run_message(FEW, sched=sched)
    assert first[:2] == expected(FEW)
    assert run_message(FEW, sched=sched) == first


@pytest.mark.campaign
@pytest.mark.parametrize("sched", OTHERS)
def test_message_arrives_whole_under_each_policy(sched: str) -> None:
    """The same as the whole message."""
    assert run_message(SIZE, sched=sched)[:2] == expected(SIZE)
