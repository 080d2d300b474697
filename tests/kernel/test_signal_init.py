"""Init takes no signal that it has no handler for: not even SIGKILL."""

from __future__ import annotations

from pathlib import Path

from ringlet.session import Session
from tests.guest import compile_c
from tests.kernel.leftovers import left


def test_init_outlives_every_signal() -> None:
    """Does the machine run on after each signal has been sent to process 1, and keep none?"""
    program = str(compile_c(Path(__file__).with_name("kill_init.c")))
    with Session(seed=1, panic_on_oops=True) as session:
        states = []
        for _ in range(3):
            result = session.run([program])
            assert (result.status, result.output) == (0, b"0 failed\n")
            states.append(left(session))
        assert states[1] == states[2]
        assert states[2].signals == 0
