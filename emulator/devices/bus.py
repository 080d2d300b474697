"""The two ways to a device: the I/O ports of ``in`` and ``out``, and windows in physical memory.

Where nothing answers, a read gives all ones and a write is lost: nobody drives the bus, which the
pull-up resistors of ISA hold high.  Software probes for devices that way, so it is not an error.

See: Intel SDM vol. 1, "Input/Output", "I/O Port Addressing", "Memory-Mapped I/O".
"""

from typing import Any

from emulator.devices.device import Device


def all_ones(size: int) -> int:
    """Return what a read of ``size`` bytes finds on a bus that nobody drives."""
    return (1 << 8 * size) - 1


class Ports:
    """The I/O address space: 65536 byte ports, each with at most one device."""

    def __init__(self) -> None:
        self._devices: dict[int, Device[Any]] = {}

    def attach(self, ports: range, device: Device[Any]) -> None:
        """Let ``device`` answer on ``ports``.

        Raises:
            ValueError: a port is outside the I/O space or has a device already; nothing changes.
        """
        for port in ports:
            if not 0 <= port <= 0xFFFF:
                raise ValueError(f"{device.name}: {port:#x} is not a port")
            if (other := self._devices.get(port)) is not None:
                raise ValueError(f"port {port:#x} of {device.name} belongs to {other.name}")
        self._devices.update(dict.fromkeys(ports, device))

    def read(self, port: int, size: int) -> int:
        """Return what ``in`` of ``size`` bytes from ``port`` finds."""
        device = self._devices.get(port)
        if size > 1 and not self._takes_whole(device, port, size):
            return sum(self.read(port + byte, 1) << 8 * byte for byte in range(size))
        return all_ones(size) if device is None else device.read_port(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        """Do ``out`` of the low ``size`` bytes of ``value`` to ``port``."""
        device = self._devices.get(port)
        if size > 1 and not self._takes_whole(device, port, size):
            for byte in range(size):
                self.write(port + byte, 1, value >> 8 * byte)
        elif device is not None:
            device.write_port(port, size, value & all_ones(size))

    def read_string(self, port: int, size: int) -> bytes:
        """Return what ``rep insb`` of ``size`` bytes from ``port`` finds."""
        device = self._devices.get(port)
        return b"\xff" * size if device is None else device.read_string(port, size)

    def write_string(self, port: int, data: bytes) -> None:
        """Do ``rep outsb``: every byte of ``data``, in order, to the same port."""
        if (device := self._devices.get(port)) is not None:
            device.write_string(port, data)

    def _takes_whole(self, device: Device[Any] | None, port: int, size: int) -> bool:
        """Tell whether one device takes an access to several ports as one."""
        return (
            device is not None
            and device.wide
            and all(self._devices.get(port + byte) is device for byte in range(1, size))
        )


class Mmio:
    """The windows of physical memory in which a device answers instead of RAM."""

    def __init__(self) -> None:
        self._windows: list[tuple[int, int, Device[Any]]] = []  # base, end, device

    def attach(self, base: int, size: int, device: Device[Any]) -> None:
        """Let ``device`` answer at physical addresses ``base`` to ``base + size - 1``.

        Raises:
            ValueError: the window has no bytes or overlaps another; nothing changes.
        """
        if base < 0 or size <= 0:
            raise ValueError(f"{device.name}: {size:#x} bytes at {base:#x} is not a window")
        for other_base, other_end, other in self._windows:
            if base < other_end and other_base < base + size:
                raise ValueError(
                    f"window {base:#x}-{base + size - 1:#x} of {device.name} overlaps"
                    f" {other_base:#x}-{other_end - 1:#x} of {other.name}"
                )
        self._windows.append((base, base + size, device))

    def windows(self) -> list[tuple[int, int]]:
        """Return base and size of each window, in the order of attachment."""
        return [(base, end - base) for base, end, _ in self._windows]

    def read(self, pa: int, size: int) -> int:
        """Return what a load of ``size`` bytes at ``pa`` finds."""
        for base, end, device in self._windows:
            if base <= pa and pa + size <= end:
                return device.read_mmio(pa - base, size)
        return all_ones(size)

    def write(self, pa: int, size: int, value: int) -> None:
        """Store the low ``size`` bytes of ``value`` at ``pa``."""
        for base, end, device in self._windows:
            if base <= pa and pa + size <= end:
                device.write_mmio(pa - base, size, value & all_ones(size))
                return
