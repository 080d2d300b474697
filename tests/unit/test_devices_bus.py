"""The port bus and the memory windows, with devices that only note what reaches them."""

from dataclasses import dataclass, field

import pytest

from emulator.devices.bus import Mmio, Ports
from emulator.devices.device import Device, Record


@dataclass(slots=True)
class NotedState(Record):
    accesses: list[int] = field(default_factory=list)
    ram: bytearray = field(default_factory=lambda: bytearray(8))
    on: bool = False


class Noted(Device[NotedState]):
    """Answers each byte with the port's low byte, and notes the accesses."""

    name = "noted"

    def __init__(self) -> None:
        self.state = NotedState()
        self.log: list[tuple[int, ...]] = []

    def read_port(self, port: int, size: int) -> int:
        self.log.append((port, size))
        return int.from_bytes(bytes((port + byte & 0xFF) for byte in range(size)), "little")

    def write_port(self, port: int, size: int, value: int) -> None:
        self.log.append((port, size, value))

    def read_mmio(self, offset: int, size: int) -> int:
        return offset

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        self.log.append((offset, size, value))


class WideNoted(Noted):
    name = "wide"
    wide = True


@pytest.mark.parametrize(("size", "ones"), [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF)])
def test_unclaimed_port_reads_ones_and_drops_writes(size: int, ones: int) -> None:
    """Does a port without a device behave as a bus that nobody drives?"""
    ports = Ports()
    ports.write(0x80, size, 0)
    ports.write_string(0x80, b"lost")
    assert ports.read_string(0x80, 3) == b"\xff\xff\xff"
    assert ports.read(0x80, size) == ones
    assert ports.read(0xFFFF, size) == ones


def test_wide_access_to_a_byte_device_is_split() -> None:
    """Does a 4-byte access become four of one byte, to consecutive ports, lowest first?"""
    ports, device = Ports(), Noted()
    ports.attach(range(0x60, 0x64), device)
    assert ports.read(0x60, 4) == 0x6362_6160
    ports.write(0x60, 2, 0xBBAA)
    assert device.log[-2:] == [(0x60, 1, 0xAA), (0x61, 1, 0xBB)]
    assert all(size == 1 for _, size, *_ in device.log)


def test_wide_device_takes_the_access_whole() -> None:
    """Does a device that says so get one access, with the excess bits of the value gone?"""
    ports, device = Ports(), WideNoted()
    ports.attach(range(0xF4, 0xF8), device)
    ports.write(0xF4, 4, 0xA_1234_5678)
    ports.write(0xF4, 1, 0x101)
    assert device.log == [(0xF4, 4, 0x1234_5678), (0xF4, 1, 1)]


def test_access_over_the_end_of_a_device_is_split() -> None:
    """Does an access that only half belongs to a wide device reach it as bytes?"""
    ports, device = Ports(), WideNoted()
    ports.attach(range(0xF4, 0xF8), device)
    assert ports.read(0xF7, 2) == 0xFFF7
    assert device.log == [(0xF7, 1)]


def test_string_output_goes_to_one_port_in_order() -> None:
    """Does `rep outsb` reach a device without a bulk method byte by byte?"""
    ports, device = Ports(), Noted()
    ports.attach(range(0x60, 0x62), device)
    ports.write_string(0x60, b"ab")
    assert device.log == [(0x60, 1, ord("a")), (0x60, 1, ord("b"))]


def test_overlapping_ports_are_refused_by_name() -> None:
    """Does attaching to a taken port name both devices and leave the bus as it was?"""
    ports = Ports()
    ports.attach(range(0x64, 0x66), Noted())
    with pytest.raises(ValueError, match=r"^port 0x64 of wide belongs to noted$"):
        ports.attach(range(0x60, 0x65), WideNoted())
    assert ports.read(0x60, 1) == 0xFF
    with pytest.raises(ValueError, match=r"^noted: 0x10000 is not a port$"):
        ports.attach(range(0x10000, 0x10001), Noted())


def test_window_gets_offsets_and_rest_is_ones() -> None:
    """Does a window answer for accesses wholly inside it, and nobody for the others?"""
    mmio, device = Mmio(), Noted()
    mmio.attach(0xFED0_0000, 0x400, device)
    assert mmio.windows() == [(0xFED0_0000, 0x400)]
    assert mmio.read(0xFED0_03F8, 8) == 0x3F8
    assert mmio.read(0xFED0_03FC, 8) == (1 << 64) - 1
    mmio.write(0xFED0_0010, 4, 0x1_0000_0002)
    mmio.write(0xFED0_0400, 4, 1)
    assert device.log == [(0x10, 4, 2)]


def test_overlapping_windows_are_refused_by_name() -> None:
    """Does a window over another's last byte name both?"""
    mmio = Mmio()
    mmio.attach(0x1000, 0x400, Noted())
    mmio.attach(0x1400, 0x400, Noted())
    message = "^window 0x17ff-0x17ff of wide overlaps 0x1400-0x17ff of noted$"
    with pytest.raises(ValueError, match=message):
        mmio.attach(0x17FF, 1, WideNoted())
    with pytest.raises(ValueError, match="is not a window"):
        mmio.attach(0x2000, 0, WideNoted())


def test_saved_state_is_a_copy_and_comes_back() -> None:
    """Is a snapshot untouched by what the device does later, and does restoring bring it back?"""
    device = Noted()
    device.state.accesses.append(1)
    saved = device.save()
    device.state.accesses.append(2)
    device.state.ram[0] = 9
    device.state.on = True
    assert saved == {"accesses": [1], "ram": bytearray(8), "on": False}
    # A snapshot file may give back bytes for a bytearray and a tuple for a list.
    device.restore({"accesses": (1,), "ram": bytes(8), "on": 0})
    assert device.state == NotedState(accesses=[1])
    assert type(device.state.ram) is bytearray


def test_state_of_another_version_is_refused() -> None:
    """Does restoring fields that the device does not have say so?"""
    with pytest.raises(ValueError, match=r"^noted: saved fields \['on'\] are not the state's"):
        Noted().restore({"on": True})
