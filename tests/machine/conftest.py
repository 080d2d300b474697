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
def make_machine(kind: str) -> Iterator[Callable[..., Bare]]:
    """The function that makes a machine, for tests that need several."""
    made: list[Machine] = []

    def make(mem: int = 4 << 20, **options: object) -> Bare:
        microcode = "python" if kind == "python" else "native"
        made.append(Machine(mem, microcode=microcode, **options))
        return Bare(made[-1])

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def machine(make_machine: Callable[..., Bare], report_on: Callable[[Bare], Bare]) -> Bare:
    """A machine of the test's own, in place of the plugin's: tests also change its devices."""
    return report_on(make_machine())
