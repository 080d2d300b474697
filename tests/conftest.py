"""What every test may use: a booted session, compiled programs, the host's answer."""

from __future__ import annotations

import pytest

from guest_kernel.mm import filemap
from ringlet.session import Session


@pytest.fixture
def session(kernel: Session) -> Session:
    """The plugin's ``kernel``, by its type's name, for tests that look below: session.kernel.k."""
    return kernel


@pytest.fixture(autouse=True)
def _own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test's address space release files its own way, and no other test's."""
    monkeypatch.setattr(filemap, "_release_file", filemap._release_file)
