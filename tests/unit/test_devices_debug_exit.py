"""The port that ends the run."""

import pytest

from emulator.devices.bus import Ports
from emulator.devices.debug_exit import DebugExit


@pytest.mark.parametrize("size", [1, 2, 4])
def test_status_is_the_value_written(size: int) -> None:
    """Does a write of any size ask for an exit once, with the value itself?"""
    statuses: list[int] = []
    ports = Ports()
    ports.attach(DebugExit.PORTS, DebugExit(statuses.append))
    value = 0x1234_5678 % (1 << 8 * size)
    ports.write(0xF4, size, value)
    ports.write(0xF4, size, 0)
    assert statuses == [value, 0]


def test_read_is_zero_and_asks_for_nothing() -> None:
    """Is probing the port harmless?"""
    statuses: list[int] = []
    device = DebugExit(statuses.append)
    assert device.read_port(0xF4, 1) == 0
    assert device.save() == {}
    device.restore({})
    assert statuses == []
