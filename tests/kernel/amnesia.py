"""Throwing the kernel's Python half away, in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable

from emulator import elf
from guest_kernel import boot, image
from ringlet.session import Session


def forgetful(session: Session, forgets: Callable[[], bool]) -> Callable[[int], None]:
    """Return a host-call entry that makes the kernel's Python half anew when ``forgets`` says."""
    executable = elf.read(image.build())
    machine = session.machine

    def call(value: int) -> None:
        if forgets():
            session.kernel = boot.attach(machine, executable)
            machine.host_call = call
        session.kernel.call(value)

    return call
