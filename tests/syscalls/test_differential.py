"""Every program of this folder prints in the guest what it prints on Linux."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ringlet.session import Session
from ringlet.testing import Guest
from tests.guest import (
    assert_same,
    compile_c,
    run_guest_on_terminal,
    run_native_on_terminal,
    script_of,
)

PROGRAMS: Final = sorted(Path(__file__).parent.glob("*.c"))
ON_TERMINALS: Final = [source for source in PROGRAMS if script_of(source)]


@pytest.mark.native
@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("source", [source for source in PROGRAMS if source not in ON_TERMINALS],
                         ids=lambda path: path.stem)
def test_guest_agrees_with_linux(guest: Guest, source: Path) -> None:
    """Does the kernel answer this call as Linux does, errors included?"""
    guest(compile_c(source))


@pytest.mark.native
@pytest.mark.machine(tty=True, panic_on_oops=True)
@pytest.mark.parametrize("source", ON_TERMINALS, ids=lambda path: path.stem)
def test_guest_agrees_with_linux_on_a_terminal(session: Session, source: Path) -> None:
    """Do terminals do what Linux's do, when somebody types and looks?"""
    argv, script = [str(compile_c(source))], script_of(source)
    assert_same(argv, run_native_on_terminal(argv, script),
                run_guest_on_terminal(session, argv, script))
