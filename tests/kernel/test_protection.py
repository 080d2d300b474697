"""Ring 3 cannot reach the kernel, the machine or the host."""

from __future__ import annotations

import pytest

from ringlet.session import Session
from ringlet.testing import Guest
from tests.guest import run_native, userland

RINGS = str(userland("rings"))


def _attempts() -> list[str]:
    """Return what ``rings`` can try, as it lists them itself."""
    listing = run_native([RINGS]).output.decode()
    return listing.split()


ATTEMPTS = _attempts()


def test_the_list_of_attempts_is_not_empty() -> None:
    """Does the program still list what it can try?"""
    assert len(ATTEMPTS) > 40


@pytest.mark.native
@pytest.mark.guest_timeout(10)
@pytest.mark.parametrize("attempt", [a for a in ATTEMPTS if a != "int80"])
def test_forbidden_attempt_ends_as_on_linux(guest: Guest, session: Session, attempt: str) -> None:
    """Does the attempt kill the program by the same signal, and does the machine go on?

    Good: the program dies as on Linux, and another one runs afterwards.
    Bad: it survives, the kernel panics, or the host's process ends.
    """
    guest(RINGS, attempt)
    assert session.run(["/bin/hello"]).output == b"hello, world\n"


def test_int80_is_not_offered(guest: Guest) -> None:
    """INT 80h is the 32-bit system call; a kernel without it answers with SIGSEGV."""
    assert guest(RINGS, "int80").status == 128 + 11


def test_every_frame_is_free_again_after_a_program(session: Session) -> None:
    """Does any program leave a frame behind, however it ends?"""
    from guest_kernel.mm.page_alloc import drain_local_pages, nr_free_pages

    k = session.kernel.k

    def free() -> int:
        drain_local_pages(k)
        return nr_free_pages(k)

    runs = [["/bin/hello"], ["/bin/fault_loop", "100"], ["/bin/rings", "read-kernel"],
            ["/bin/exit42"], ["/bin/sieve", "5000"]]
    for argv in runs:  # slabs and page tables that stay are made by the first round
        session.run(argv)
    before = free()
    for argv in runs:
        session.run(argv)
        assert free() == before, argv
