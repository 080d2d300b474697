"""What every test may use: a booted session, compiled programs, the host's answer."""

from __future__ import annotations

import pytest

from guest_kernel.mm import filemap
from ringlet.session import Session
from ringlet.testing import Machines


@pytest.fixture
def session(_ringlet_machines: Machines) -> Session:
    """A machine with the kernel booted and nothing run on it yet: one, taken back for each test."""
    return _ringlet_machines.session({"seed": 1})


@pytest.fixture(autouse=True)
def _own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test's address space release files its own way, and no other test's."""
    monkeypatch.setattr(filemap, "_release_file", filemap._release_file)
