"""What all devices have in common: registers on a bus, and one record that is all their state.

The record's ``__slots__`` hold integers, booleans, bytes, bytearrays, and lists or tuples of
integers, so that a snapshot needs neither pickle nor knowledge of the device.  Anything else that a
device holds is wiring, given to its constructor, or can be worked out from the record.

An *interrupt line* is a callable ``set_level(level: bool)``: the device says what level its pin
has now, as often as it likes, and the interrupt controller decides what that means.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar


class Record:
    """All that a snapshot saves of a device: its slots, by name."""

    __slots__: tuple[str, ...] = ()


StateT = TypeVar("StateT", bound=Record)

InterruptLine = Callable[[bool], None]
"""``set_level(level)``: drive one interrupt line."""

SetIrq = Callable[[int, bool], None]
"""``set_irq(irq, level)``: drive one of the interrupt controller's lines, by number."""

Clock = Callable[[], int]
"""``now()``: nanoseconds on the machine's virtual clock, which never goes back."""


class UnsupportedError(Exception):
    """The guest asked for a function that the real device has and this one has not.

    The message names the device, the register and the value.
    """


class Device(Generic[StateT]):
    """A device; a subclass answers on ports, in memory, or both.

    Attributes:
        name: for messages and snapshots; unique in a machine.
        wide: whether the device takes a port access of 2 or 4 bytes whole.  If not, the bus makes
            it into accesses of one byte to consecutive ports, as ISA does for 8-bit cards.
        state: all that a snapshot must save.
    """

    name: ClassVar[str]
    wide: ClassVar[bool] = False
    state: StateT

    def read_port(self, port: int, size: int) -> int:
        """Answer ``in`` from ``port``; ``size`` is 1 unless the device is wide."""
        raise NotImplementedError(f"{self.name} has no ports")

    def write_port(self, port: int, size: int, value: int) -> None:
        """Take ``out`` to ``port``; ``size`` is 1 unless the device is wide."""
        raise NotImplementedError(f"{self.name} has no ports")

    def read_string(self, port: int, size: int) -> bytes:
        """Answer ``rep insb``: ``size`` bytes, one after the other, from the same port."""
        return bytes(self.read_port(port, 1) for _ in range(size))

    def write_string(self, port: int, data: bytes) -> None:
        """Take ``rep outsb``: every byte of ``data``, in order, to the same port."""
        for value in data:
            self.write_port(port, 1, value)

    def read_mmio(self, offset: int, size: int) -> int:
        """Answer a load of ``size`` bytes, ``offset`` bytes into the device's window."""
        raise NotImplementedError(f"{self.name} has no memory window")

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        """Take a store of ``size`` bytes, ``offset`` bytes into the device's window."""
        raise NotImplementedError(f"{self.name} has no memory window")

    def save(self) -> dict[str, Any]:
        """Return the state by field name, sharing nothing with the device."""
        values = {field: getattr(self.state, field) for field in self._fields()}
        return {field: type(value)(value) for field, value in values.items()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take the state back that :meth:`save` returned; lines are not driven.

        Raises:
            ValueError: ``saved`` does not have exactly this device's fields.
        """
        names = self._fields()
        if set(saved) != set(names):
            raise ValueError(
                f"{self.name}: saved fields {sorted(saved)} are not the state's {sorted(names)}"
            )
        for field in names:
            # The saved value may have been through a file that has one kind of sequence.
            kind = type(getattr(self.state, field))
            setattr(self.state, field, kind(saved[field]))
        self.restored()

    def restored(self) -> None:
        """Work out again what the device derives from its state; called after a restore."""

    def _fields(self) -> list[str]:
        return list(type(self.state).__slots__)
