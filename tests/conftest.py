"""What every test may use: a booted session, compiled programs, the host's answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guest_kernel.mm import filemap
from ringlet.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    """A machine with the kernel booted and nothing run on it yet."""
    with Session(seed=1) as booted:
        yield booted


@pytest.fixture(autouse=True)
def _own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test's address space release files its own way, and no other test's."""
    monkeypatch.setattr(filemap, "_release_file", filemap._release_file)
