"""Init takes no signal that it has no handler for: not even SIGKILL."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringlet.session import Session
from tests.guest import compile_c
from tests.kernel.leftovers import left


@pytest.mark.machine(panic_on_oops=True)
def test_init_outlives_every_signal(session: Session) -> None:
    """Does the machine run on after each signal has been sent to process 1, and keep none?"""
    program = str(compile_c(Path(__file__).with_name("kill_init.c")))
    states = []
    for _ in range(3):
        result = session.run([program])
        assert (result.status, result.output) == (0, b"0 failed\n")
        states.append(left(session))
    assert states[1] == states[2]
    assert states[2].signals == 0
