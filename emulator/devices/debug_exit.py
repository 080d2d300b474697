"""A port that ends the run with a status, for tests and CI.

It stands where QEMU's ``isa-debug-exit`` is usually put, and is used in the same way: write a value
to port 0xF4.  It differs in one thing: the status is the value itself, where QEMU makes it
``value << 1 | 1``; so a guest can say 0.  A read gives 0, as in QEMU.

See: QEMU hw/misc/debugexit.c.
"""

from collections.abc import Callable
from typing import ClassVar

from emulator.devices.device import Device, Record


class DebugExitState(Record):
    """There is nothing to remember."""

    __slots__ = ()


class DebugExit(Device[DebugExitState]):
    """The port.

    Args:
        exit_: asks the machine to end with a status; returns, as the write has to be completed.
    """

    name = "debug-exit"
    wide = True
    PORTS: ClassVar = range(0xF4, 0xF8)

    def __init__(self, exit_: Callable[[int], None]) -> None:
        self.state = DebugExitState()
        self._exit = exit_

    def read_port(self, port: int, size: int) -> int:
        return 0

    def write_port(self, port: int, size: int, value: int) -> None:
        self._exit(value)
