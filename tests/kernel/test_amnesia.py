"""RAM is the kernel's only memory: its Python half may be thrown away at any trap."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ringlet.session import Session
from tests.guest import ROOT, compile_c
from tests.kernel.amnesia import forgetful
from tests.programs.debian import program


def _run(argv: list[str], stdin: bytes, forgets: Callable[[], bool]) -> tuple[object, ...]:
    with Session(seed=3) as session:
        session.machine.host_call = forgetful(session, forgets)
        result = session.run(argv, stdin=stdin)
        return result.status, result.output, session.machine.clock, session.machine.fingerprint()


def test_rebuilding_the_kernel_at_every_trap_changes_nothing() -> None:
    """Is there any kernel state outside RAM that a short run would miss?"""
    argv = [str(compile_c(ROOT / "tests" / "syscalls" / "openat.c"))]
    assert _run(argv, b"", lambda: True) == _run(argv, b"", lambda: False)


@pytest.mark.parametrize("seed", range(3))
def test_rebuilding_the_kernel_at_random_traps_changes_nothing(seed: int) -> None:
    """Is there any that a long run with files, memory and input would miss?"""
    argv = [str(program("busybox")), "awk", "{n+=length($0); a[$1]=a[$1] $2} END{print n; "
            "for (k in a) print k, length(a[k])}"]
    stdin = b"".join(b"key%d value%d\n" % (i % 17, i) for i in range(2000))
    chance = random.Random(seed)
    forgotten = _run(argv, stdin, lambda: chance.random() < 0.05)
    assert forgotten == _run(argv, stdin, lambda: False)


@pytest.mark.parametrize("name", ["sem_sleep", "sem_undo", "wait4_other_thread", "fork_orphan"])
def test_rebuilding_the_kernel_while_tasks_sleep_changes_nothing(name: str) -> None:
    """Does what a sleeper waits for, or a child has, and what is to be undone, survive?"""
    argv = [str(compile_c(ROOT / "tests" / "syscalls" / f"{name}.c"))]
    chance = random.Random(name)
    forgotten = _run(argv, b"", lambda: chance.random() < 0.05)
    assert forgotten == _run(argv, b"", lambda: False)


def test_booting_twice_gives_the_same_machine() -> None:
    """Same image, same options: same clock, same RAM?"""
    prints = set()
    for _ in range(2):
        with Session(seed=5) as session:
            prints.add((session.machine.clock, session.machine.fingerprint()))
    assert len(prints) == 1


def test_running_twice_gives_the_same_bytes_clock_and_ram() -> None:
    """Same command: same console, same clock, same RAM?"""
    argv = [str(program("bash-static")), "-c", "for i in {1..30}; do echo $RANDOM; done"]
    assert _run(argv, b"", lambda: False) == _run(argv, b"", lambda: False)


def test_the_seed_is_the_only_source_of_randomness() -> None:
    """Does another seed give other random numbers, and the same one the same?"""
    argv = [str(program("busybox")), "od", "-N", "16", "-t", "x1", "/dev/urandom"]
    outputs = []
    for seed in (1, 1, 2):
        with Session(seed=seed) as session:
            outputs.append(session.run(argv).output)
    assert outputs[0] == outputs[1] != outputs[2]


def test_python_and_native_microcode_give_the_same_run() -> None:
    """Is the whole run the same on both, to the last byte of RAM?"""
    argv = [str(program("busybox")), "sha256sum"]
    results = []
    for microcode in ("native", "python"):
        with Session(seed=1, microcode=microcode) as session:  # type: ignore[arg-type]  # literal
            result = session.run(argv, stdin=b"x" * 10_000)
            results.append((result, session.machine.clock, session.machine.fingerprint()))
    (native, *native_end), (python, *python_end) = results
    assert (native.output, native_end) == (python.output, python_end)


def test_a_slice_boundary_changes_nothing(tmp_path: Path) -> None:
    """Does stopping the machine every few thousand code bytes leave the run as it was?"""
    argv = [str(program("busybox")), "seq", "1", "300"]
    free = _run(argv, b"", lambda: False)
    with Session(seed=3) as session:
        run = session.machine.run

        def sliced(until: int | None = None) -> object:
            while (reason := run(session.machine.clock + 7_777)).name == "TIMER":
                pass
            return reason

        session.machine.run = sliced  # type: ignore[method-assign,assignment]  # same signature
        result = session.run(argv)
        end = (result.status, result.output, session.machine.clock, session.machine.fingerprint())
    assert end == free
