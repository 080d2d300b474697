"""The C programs of ``userland/`` say what they are there to show."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ringlet.testing import Guest
from userland.build import OUTPUT, build

EXPECTED: Final = {
    "fork": """\
I am your father!
Nooooooooo! The answer is 54
Child exit status: 99, and the answer is 42
""",
    "pid_info": """\
a child that sleeps, and one that has ended:
4: state 1, age 2 s, parent 3, root /, pwd /, stack yes, children
5: state -1, age 2 s, parent 3, root , pwd , stack none, children
this process and its parents:
3: state 0, age 2 s, parent 1, root /, pwd /, stack yes, children 4 5
1: state 1, age 2 s, parent 0, root /, pwd /, stack none, children 3
nobody, and a bad address:
30000: error 3
NULL: error 14
""",
    "ft_wait": """\
ft_wait: 0, exit status 10
ft_wait: 0, exit status 20
ft_wait: 0, exit status 30
no child is left: error 10
a bad address: error 14
""",
    "ft_kill": """\
ft_kill(child, 15): 0, and it died of signal 15
once more: error 3
ft_kill(child, 9): 0, and it died of signal 9
once more: error 3
nobody: error 3
no such signal: error 22
init does not die: 0
""",
}


@pytest.fixture(scope="module")
def programs() -> Path:
    build()
    return OUTPUT / "c"


@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("name", EXPECTED)
def test_program_shows_what_it_is_there_for(guest: Guest, programs: Path, name: str) -> None:
    """Does each of the programs that use the project's own calls print what they answer?"""
    result = guest(programs / name)
    assert (result.status, result.stdout.decode()) == (0, EXPECTED[name])
