"""The signals that guest assembly takes, held to the hosted half, which can as well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.sched import pcpu_hot
from ringlet.session import Result, Session
from tests.guest import compile_c
from tests.kernel.leftovers import left

PROGRAM: Final = Path(__file__).with_name("fast_signal.c")


def run(*, hosted: bool) -> tuple[Result, Counter[int], int]:
    """Run the program; return its result, how often the hosted half was called, and sigreturns."""
    with Session(seed=1, panic_on_oops=True) as session:
        session.kernel.k.data(pcpu_hot).hosted_only = int(hosted)
        calls: Counter[int] = Counter()
        serve = session.machine.host_call
        assert serve is not None

        def count(value: int) -> None:
            calls[value] += 1
            serve(value)

        session.machine.host_call = count
        result = session.run([str(compile_c(PROGRAM))])
        return result, calls, result.statistics.syscalls.get("rt_sigreturn", 0)


def test_assembly_and_hosted_half_take_signals_alike() -> None:
    """Does a handler find the same frame, byte for byte, and the program the same afterwards?"""
    fast, fast_calls, fast_returns = run(hosted=False)
    hosted, hosted_calls, hosted_returns = run(hosted=True)
    assert (fast.status, fast.output) == (hosted.status, hosted.output)
    assert fast.status == 0
    # And the assembly does take them.
    assert fast_returns < hosted_returns / 3
    assert fast_calls[HostCall.EXIT_WORK] < hosted_calls[HostCall.EXIT_WORK] / 2


def test_nothing_is_lost_on_either_path() -> None:
    """Is everything free after the program that was free before, the kept queue entries too?"""
    for hosted in (False, True):
        with Session(seed=1) as session:
            session.kernel.k.data(pcpu_hot).hosted_only = int(hosted)
            found = []
            for _ in range(3):
                session.run([str(compile_c(PROGRAM))])
                found.append(left(session))
            assert found[1] == found[2]
