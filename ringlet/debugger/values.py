"""Values of C's types, as gdb computes with them and writes them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.formats import character, formatted, quoted
from ringlet.debugger.types import Member, PointerTo, Row, Type

if TYPE_CHECKING:
    from ringlet.debugger.target import Target

_M64: Final = (1 << 64) - 1
_MOST: Final = 200  # elements, or characters, that are written
_REPEATED: Final = 10  # more equal ones in a row are counted instead
_FLOATS: Final = {4: "<f", 8: "<d"}


class Value:
    """A value of a type of C's, in memory or in a register.

    As gdb's in Python, it computes as in C, pointers step by what they point to, and ``value[1]``
    and ``value["field"]`` look inside, also through a pointer.

    Args:
        target: the machine.
        type: its type.
        address: where it lies; None: nowhere, and ``data`` is it.
        pid: in whose memory; None: as the CPU sees it now.
        bits: of a bit-field: its first bit, and how many.
    """

    def __init__(self, target: Target, type: Type, address: int | None, data: bytes | None,
                 pid: int | None, bits: tuple[int, int] | None = None) -> None:
        self._target, self._pid, self._bits = target, pid, bits
        self._data = data
        self.type, self.address = type, None if address is None else address & _M64

    @property
    def size(self) -> int:
        """Bytes."""
        return self.type.size

    def bytes(self) -> bytes:
        """Return it as it lies in memory.

        Raises:
            DebuggerError: that is not mapped.
        """
        if self._data is not None:
            return self._data
        assert self.address is not None
        return self._target.read(self.address, self.size, self._pid)

    def number(self) -> int | float:
        """Return what it is as a number: of an array, its address, as in C.

        Raises:
            DebuggerError: it is none.
        """
        if self.type.is_array or self.type.is_function:
            if self.address is None:
                raise DebuggerError("A value that is not in memory has no address.")
            return self.address
        if self.type.is_float and self.size in _FLOATS:
            return float(struct.unpack(_FLOATS[self.size], self.bytes())[0])
        if not self.type.is_scalar:
            raise DebuggerError(f"{self.type} is no type of numbers.")
        value = int.from_bytes(self.bytes(), "little")
        width = 8 * self.size
        if self._bits is not None:
            value, width = value >> self._bits[0] & (1 << self._bits[1]) - 1, self._bits[1]
        return value - (1 << width) if self.type.is_signed and value >> width - 1 else value

    def pointer(self) -> Value:
        """Return what points to it: ``&x``.

        Raises:
            DebuggerError: it is not in memory.
        """
        if self.address is None or self._bits is not None:
            raise DebuggerError("A value that is not in memory has no address.")
        return Value(self._target, PointerTo(self.type), None, self.address.to_bytes(8, "little"),
                     self._pid)

    def pointed(self) -> Value:
        """Return what it points to: ``*p``.

        Raises:
            DebuggerError: it is no pointer, or to nothing that has a size.
        """
        return self[0]

    def assign(self, number: int | float) -> None:
        """Store a number.

        Raises:
            DebuggerError: it is not in memory, or no number.
        """
        if self.address is None or self._bits is not None or not self.type.is_scalar:
            raise DebuggerError("Only a number or a pointer in memory can be set.")
        if self.type.is_float:
            data = struct.pack(_FLOATS[self.size], number)
        else:
            data = (int(number) & (1 << 8 * self.size) - 1).to_bytes(self.size, "little")
        self._target.write(self.address, data)

    # As Python sees it

    def __getitem__(self, index: int | str) -> Value:
        if isinstance(index, str):
            return self._field(index)
        if not (self.type.is_pointer or self.type.is_array):
            raise DebuggerError(f"What is {self.type} has no elements.")
        element: Type = self.type.plain.target
        if self.type.is_array and len(self.type.plain.counts) > 1:
            element = Row(self.type.plain)
        if not element.size and not element.is_function:
            raise DebuggerError(f"What {self.type} points to has no size.")
        if self._data is not None and self.type.is_array:
            start = int(index) * element.size
            return Value(self._target, element, None, self._data[start : start + element.size],
                         self._pid)
        return Value(self._target, element, int(self.number()) + int(index) * element.size, None,
                     self._pid)

    def _field(self, name: str) -> Value:
        record = self.pointed() if self.type.is_pointer else self
        if not record.type.is_record:
            raise DebuggerError(f"What is {record.type} has no fields.")
        member = record.type.member(name)
        if member is None:
            raise DebuggerError(f"There is no field {name} in {record.type}.")
        return record._part(member)

    def _part(self, member: Member) -> Value:
        data = self._data
        if data is not None:
            data = data[member.offset : member.offset + member.type.size]
        at = None if self.address is None else self.address + member.offset
        bits = (member.bit, member.bits) if member.bits else None
        return Value(self._target, member.type, at, data, self._pid, bits)

    def _arithmetic(self, other: Any, sign: int) -> Any:
        if self.type.is_pointer or self.type.is_array:
            target = self.type.plain.target
            size = target.size or 1
            if isinstance(other, Value) and (other.type.is_pointer or other.type.is_array):
                return (int(self) - int(other)) // size
            value = int(self) + sign * int(other) * size & _M64
            kind = self.type if self.type.is_pointer else PointerTo(target)
            return Value(self._target, kind, None, value.to_bytes(8, "little"), self._pid)
        return self.number() + sign * plain(other)

    def __add__(self, other: Any) -> Any:
        return self._arithmetic(other, 1)

    def __radd__(self, other: Any) -> Any:
        return self._arithmetic(other, 1)

    def __sub__(self, other: Any) -> Any:
        return self._arithmetic(other, -1)

    def __int__(self) -> int:
        return int(self.number())

    def __index__(self) -> int:
        number = self.number()
        if isinstance(number, float):
            raise DebuggerError(f"{self.type} is no type of whole numbers.")
        return number

    def __float__(self) -> float:
        return float(self.number())

    def __bool__(self) -> bool:
        return bool(self.number())

    def __hash__(self) -> int:
        return hash(self.number())

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    # As people see it

    def text(self, kind: str = "", *, inside: bool = False) -> str:
        """Return it as gdb writes it.

        Args:
            kind: a format of ``print``'s for its numbers; empty: by its type.
            inside: it is part of another.
        """
        if self.type.is_record:
            return f"{{{', '.join(self._fields(kind))}}}"
        if self.type.is_array:
            return self._elements(kind)
        number = self.number() if self.type.is_scalar else int(self.address or 0)
        if kind:
            return formatted(int(number), kind, self.size)
        if isinstance(number, float):
            return f"{number:.17g}" if self.size == 8 else f"{number:.9g}"
        if self.type.is_pointer or not self.type.is_scalar:
            return self._pointer_text(number, inside=inside)
        if self.type.is_enumeration:
            names = {value: name for name, value in self.type.enumerators.items()}
            return names.get(number, str(number))
        if self.type.is_boolean and number in (0, 1):
            return "true" if number else "false"
        if self.type.is_character:
            return f"{number} '{quoted(number & 0xFF)}'"
        return str(number)

    def _fields(self, kind: str) -> Iterator[str]:
        for member in self.type.members:
            text = self._part(member).text(kind, inside=True)
            yield f"{member.name} = {text}" if member.name else text

    def _elements(self, kind: str) -> str:
        count = self.type.plain.counts[0]
        if self.type.plain.target.is_character and not kind and len(self.type.plain.counts) == 1:
            return _string(self.bytes()[:count].removesuffix(b"\0"))
        parts = [self[n].text(kind, inside=True) for n in range(min(count, _MOST))]
        return f"{{{', '.join(_repeats(parts))}{'...' if count > _MOST else ''}}}"

    def _pointer_text(self, number: int, *, inside: bool) -> str:
        of = self.type.plain.target
        if of.is_character:
            try:
                return f"{number:#x} {_string(self._target.read_string(number, self._pid))}"
            except DebuggerError:
                return f"{number:#x}"
        name = self._target.symbol_at(number, self._pid) if number else None
        text = f"{number:#x}" + (f" <{name}>" if name else "")
        return text if inside else f"({self.type}) {text}"


def plain(value: Any) -> Any:
    """Return a number for what C has as one: also a character."""
    if isinstance(value, str) and len(value) == 1:
        return ord(value)
    return value.number() if isinstance(value, Value) else value


def _operator(name: str) -> Any:
    def forwards(self: Value, other: Any) -> Any:
        return getattr(self.number(), name)(plain(other))

    return forwards


for _operation in ("mul", "floordiv", "truediv", "mod", "and", "or", "xor", "lshift", "rshift",
                   "eq", "ne", "lt", "le", "gt", "ge", "rmul", "rfloordiv", "rtruediv", "rmod",
                   "rand", "ror", "rxor", "rlshift", "rrshift", "rsub"):
    setattr(Value, f"__{_operation}__", _operator(f"__{_operation}__"))
for _operation in ("neg", "invert", "abs"):
    setattr(Value, f"__{_operation}__",
            lambda self, name=f"__{_operation}__": getattr(self.number(), name)())


def _string(text: bytes) -> str:
    """Return bytes as a string of C's, as gdb breaks it up where a character repeats."""
    pieces: list[str] = []
    together = ""
    for run in re.finditer(rb"(?s)(.)\1*", text[:_MOST]):
        length = len(run[0])
        if length <= _REPEATED:
            together += character(run[1][0]) * length
            continue
        if together:
            pieces.append(f'"{together}"')
        together = ""
        pieces.append(f"'{quoted(run[1][0])}' <repeats {length} times>")
    if together or not pieces:
        pieces.append(f'"{together}"')
    return ", ".join(pieces) + ("..." if len(text) > _MOST else "")


def _repeats(parts: list[str]) -> Iterator[str]:
    """Yield an array's elements; of many equal ones in a row, only one."""
    place = 0
    while place < len(parts):
        end = place
        while end < len(parts) and parts[end] == parts[place]:
            end += 1
        if end - place > _REPEATED:
            yield f"{parts[place]} <repeats {end - place} times>"
        else:
            yield from parts[place:end]
        place = end
