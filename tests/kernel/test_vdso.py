"""The vDSO in the guest: who reads clocks through it makes no call, and reads what a call says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from guest_kernel.layout.vdso import vdso_data
from guest_kernel.time.timekeeping import set_xtime_base
from ringlet.session import Result, Session
from tests.guest import compile_c

PROGRAM = Path(__file__).with_name("vdso_calls.c")
COUNT = 300


def run(session: Session, program: Path, count: int) -> Result:
    result = session.run([str(program), str(count)], timeout=10)
    assert result.status == 0, result.output
    return result


def exits(session: Session, program: Path, count: int) -> int:
    """Return how often a run calls the hosted kernel."""
    machine = session.machine
    calls = 0

    def count_call(value: int) -> None:
        nonlocal calls
        calls += 1
        session.kernel.call(value)

    machine.host_call = count_call
    run(session, program, count)
    machine.host_call = session.kernel.call
    return calls


@pytest.mark.parametrize("microcode", ["native", "python"])
def test_reading_a_clock_calls_nobody(microcode: str) -> None:
    """Does the C library find the vDSO, and is a clock read without a call of any kind?"""
    program = compile_c(PROGRAM)
    with Session(seed=1, microcode=microcode) as session:
        run(session, program, 1)
        few, many = exits(session, program, 1), exits(session, program, COUNT)
        # 1 200 clocks are read: what there is of exits is timer ticks, if any.
        assert many - few < 3
        result = run(session, program, COUNT)
        assert "clock_gettime" not in result.statistics.syscalls
        assert "gettimeofday" not in result.statistics.syscalls


def test_two_runs_read_the_same_times() -> None:
    """Is what a program reads the same in each run, to the nanosecond?"""
    program = compile_c(PROGRAM)
    outputs = set()
    for _ in range(2):
        with Session(seed=1) as session:
            outputs.add(run(session, program, COUNT).output)
    assert len(outputs) == 1


def test_dynamic_linker_finds_it(session: Session, tmp_path: Path) -> None:
    """Does a program with a shared C library read clocks through the vDSO, too?"""
    program = tmp_path / "dynamic"
    subprocess.run(["gcc", "-O1", "-w", "-o", program, PROGRAM], check=True)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    assert len(libraries) == 2  # the C library and the linker itself
    for library in libraries:
        session.install(library, Path(library).read_bytes(), 0o755)
    result = run(session, program, COUNT)
    assert "clock_gettime" not in result.statistics.syscalls
    assert "gettimeofday" not in result.statistics.syscalls


def test_data_are_alone_on_their_page_and_follow_the_clock(session: Session) -> None:
    """Does ring 3 see nothing else of the kernel, and a new wall clock at once?"""
    k = session.kernel.k
    data = k.data(vdso_data)
    assert data.pa % 4096 == 0
    assert vdso_data.size == 4096
    assert not any(data.rest)
    before = data.seq
    assert before % 2 == 0
    set_xtime_base(k, 5 * 10**18)
    assert data.seq == before + 2
    assert data.basetime == 5 * 10**18
