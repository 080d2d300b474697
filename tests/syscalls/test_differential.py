"""Every program of this folder prints in the guest what it prints on Linux."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.guest import assert_same, compile_c

PROGRAMS: Final = sorted(Path(__file__).parent.glob("*.c"))

# Programs that ask for what the kernel does not have yet, and what that is.
AWAITED: Final = {
    "execve_symlink": "symlink",
}


def _parameter(source: Path) -> object:
    missing = AWAITED.get(source.stem)
    marks = [] if missing is None else [pytest.mark.xfail(reason=f"no {missing}", strict=True)]
    return pytest.param(source, id=source.stem, marks=marks)


@pytest.mark.native
@pytest.mark.parametrize("source", [_parameter(source) for source in PROGRAMS])
def test_guest_agrees_with_linux(source: Path) -> None:
    """Does the kernel answer this call as Linux does, errors included?"""
    assert_same([str(compile_c(source))])
