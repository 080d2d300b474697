"""The bare machine in each of its kinds: every test runs on all of them.

``native`` and ``python`` are the two microcodes; ``verify`` is the native one, compared with the
reference at every trap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from twins import TwinCpu

from emulator.bare import Bare
from emulator.cpu.native import supported
from emulator.machine import Machine


@pytest.fixture(params=["native", "python", "verify"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind: str = request.param
    if kind != "python" and not supported():
        pytest.skip("this host has no native microcode")
    if kind == "verify":
        monkeypatch.setattr("emulator.machine.Cpu", TwinCpu)
    return kind


@pytest.fixture
def make_machine(kind: str) -> Iterator[Callable[..., Machine]]:
    """The function that makes a machine, for tests that need several."""
    machines: list[Machine] = []

    def make(mem: int = 4 << 20, **options: object) -> Machine:
        microcode = "python" if kind == "python" else "native"
        machines.append(Machine(mem, microcode=microcode, **options))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture
def make_bare(make_machine: Callable[..., Machine]) -> Callable[..., Bare]:
    return lambda **options: Bare(make_machine(**options))


@pytest.fixture
def bare(make_bare: Callable[..., Bare]) -> Bare:
    return make_bare()
