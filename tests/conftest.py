"""What every test may use: a booted session, compiled programs, the host's answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringlet.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    """A machine with the kernel booted and nothing run on it yet."""
    with Session(seed=1) as booted:
        yield booted
