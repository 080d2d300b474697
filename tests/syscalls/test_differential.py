"""Every program of this folder prints in the guest what it prints on Linux."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.guest import assert_same, compile_c, script_of

PROGRAMS: Final = sorted(Path(__file__).parent.glob("*.c"))


@pytest.mark.native
@pytest.mark.parametrize("source", PROGRAMS, ids=lambda path: path.stem)
def test_guest_agrees_with_linux(source: Path) -> None:
    """Does the kernel answer this call as Linux does, errors included?"""
    assert_same([str(compile_c(source))], script=script_of(source))
