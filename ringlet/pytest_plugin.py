"""The pytest plugin: fixtures for tests of programs, of the kernel and of the bare machine.

It costs nothing where it is not used: what it needs is imported with the first fixture.  See
docs/plugin.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from emulator.bare import Bare
    from ringlet.session import Session
    from ringlet.testing import Asm, Guest

Subject = TypeVar("Subject", "Bare", "Session")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for line in (
            "machine(mem=, seed=, quantum=, sched=, tty=, append=, panic_on_oops=): "
            "what the test's machine is like",
            "native: the guest fixture also runs each program on the host; both must agree",
            "guest_timeout(seconds): virtual time after which a program of the test is given up"):
        config.addinivalue_line("markers", line)


_MACHINE = frozenset({"mem", "seed", "quantum", "sched", "tty", "append", "panic_on_oops"})


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker("machine")
    if marker is None:
        return {}
    unknown = [*map(repr, marker.args), *sorted(set(marker.kwargs) - _MACHINE)]
    if unknown:
        raise pytest.UsageError(f"{request.node.nodeid}: the machine marker takes "
                                f"{', '.join(sorted(_MACHINE))}, not {', '.join(unknown)}")
    return dict(marker.kwargs)


@pytest.fixture(scope="session")
def _ringlet_machines() -> Iterator[Any]:
    """Every machine that tests have asked for, each with a snapshot of its beginning."""
    from ringlet.testing import Machines

    machines = Machines()
    yield machines
    machines.close()


@pytest.fixture
def report_on(request: pytest.FixtureRequest) -> Iterator[Callable[[Subject], Subject]]:
    """For fixtures that make a machine themselves: should the test fail, its report tells of it.

    ``return report_on(Bare(...))``: it returns the ``Bare`` or ``Session`` that it is given.
    """
    stash = request.node.stash

    def remember(subject: Subject) -> Subject:
        stash[_SUBJECT] = subject
        return subject

    yield remember
    for key in (_SUBJECT, _GUEST):  # pytest keeps tests to the end; not their machines, too
        if key in stash:
            del stash[key]


@pytest.fixture
def machine(request: pytest.FixtureRequest, _ringlet_machines: Any,
            report_on: Callable[[Bare], Bare]) -> Bare:
    """A bare machine, as it was made: an ``emulator.bare.Bare``."""
    return report_on(_ringlet_machines.bare(_options(request)))


@pytest.fixture
def asm(machine: Bare) -> Asm:
    """Assemble and run a few lines on the bare machine: ``asm("mov rax, 6", ring=3).rax``."""
    from ringlet.testing import Asm

    return Asm(machine)


@pytest.fixture
def kernel(request: pytest.FixtureRequest, _ringlet_machines: Any,
           report_on: Callable[[Session], Session]) -> Session:
    """A machine with the kernel booted and nothing run on it yet: a ``Session``."""
    return report_on(_ringlet_machines.session(_options(request)))


@pytest.fixture
def guest(request: pytest.FixtureRequest, kernel: Session) -> Guest:
    """Compile or take a program, and run it on the kernel: ``guest("x.c", "argument").stdout``."""
    from ringlet.testing import Guest

    limit = request.node.get_closest_marker("guest_timeout")
    made = Guest(kernel, request.path.parent,
                 timeout=limit.args[0] if limit is not None else None,
                 native=request.node.get_closest_marker("native") is not None)
    request.node.stash[_GUEST] = made
    return made


_SUBJECT: pytest.StashKey[Any] = pytest.StashKey()
_GUEST: pytest.StashKey[Any] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item,
                              call: pytest.CallInfo[None]) -> Any:
    """If a test has failed, say in its report where its machine is."""
    report = yield
    if report.when == "call" and report.failed and _SUBJECT in item.stash:
        from ringlet.testing import report_of

        guest = item.stash.get(_GUEST, None)
        place = item.config.rootpath / ".ringlet"
        report.sections += report_of(item.stash[_SUBJECT], guest, place, item.nodeid)
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show how page-table entries and flags differ, bit by bit."""
    if op != "==" or not (hasattr(left, "ringlet_bits") or hasattr(right, "ringlet_bits")):
        return None
    from ringlet.testing import difference

    return difference(left, right)
