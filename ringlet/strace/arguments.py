"""What an argument may point to: structures, arrays, buffers, strings."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ringlet.strace.call import MAX_STRLEN, Call, Format
from ringlet.strace.text import address, buffer


class Structure:
    """A structure in memory.

    Args:
        layout: of its fields, for the ``struct`` module, all unsigned.
        more: strace leaves out further fields.
        fields: formats by name, in order.
    """

    __slots__ = ("_end", "_fields", "_unpack", "size")

    def __init__(self, layout: str, *, more: bool = False, **fields: Format) -> None:
        packed = struct.Struct(layout)
        self.size = packed.size
        self._unpack = packed.unpack
        self._fields = tuple(fields.items())
        self._end = ", ...}" if more else "}"

    def text(self, call: Call, data: bytes) -> str:
        """Write the structure that ``data`` is."""
        values = self._unpack(data)
        return "{" + ", ".join(
            f"{name}={form(call, value)}"
            for (name, form), value in zip(self._fields, values, strict=True)) + self._end

    def __call__(self, call: Call, va: int) -> str:
        """Write the structure at ``va``."""
        data = call.fetch(va, self.size)
        return address(call, va) if data is None else self.text(call, data)


def custom(size: int, text: Callable[[Call, bytes], str]) -> Format:
    """A structure of ``size`` bytes that ``text`` writes."""

    def form(call: Call, va: int) -> str:
        data = call.fetch(va, size)
        return address(call, va) if data is None else text(call, data)

    return form


def given(item: Structure) -> Format:
    """A structure that the program has filled, written even if the call has failed."""

    def form(call: Call, va: int) -> str:
        data = call.memory.read(va, item.size) if va else None
        return address(call, va) if data is None else item.text(call, data)

    return form


def indirect(form: Format, size: int = 4) -> Format:
    """A pointer to a number: ``[3]``."""

    def text(call: Call, va: int) -> str:
        data = call.fetch(va, size)
        if data is None:
            return address(call, va)
        return f"[{form(call, int.from_bytes(data, 'little'))}]"

    return text


def elements(call: Call, va: int, n: int, size: int, item: Callable[[Call, bytes], str], *,
             given: bool = False) -> str:
    """Write an array of ``n`` elements of ``size`` bytes, the first of them.

    Args:
        given: the program has filled it, so it is of interest even if the call has failed.
    """
    if not va:
        return "NULL"
    if not n:
        return "[]"
    if n * size >= 1 << 64 or va + n * size > 1 << 64:
        return hex(va)
    texts: list[str] = []
    while len(texts) < n:
        if len(texts) == MAX_STRLEN:
            texts.append("...")
            break
        at = va + len(texts) * size
        data = call.memory.read(at, size) if given else call.fetch(at, size)
        if data is None:
            if not texts:
                return hex(va)
            texts.append(f"... /* {at:#x} */")
            break
        texts.append(item(call, data))
    return "[" + ", ".join(texts) + "]"


def array(size: int, item: Callable[[Call, bytes], str], count: int,
          bits: int = 64) -> Format:
    """An array whose length is argument ``count``, the low ``bits`` of it."""

    def text(call: Call, va: int) -> str:
        return elements(call, va, call.arguments[count] & (1 << bits) - 1, size, item)

    return text


def numbers(form: Format, count: int, size: int = 4, bits: int = 64) -> Format:
    """An array of numbers whose length is argument ``count``."""
    return array(size, lambda call, data: form(call, int.from_bytes(data, "little")), count, bits)


def vector(form: Format, n: int, size: int = 4) -> Format:
    """An array of ``n`` numbers."""

    def item(call: Call, data: bytes) -> str:
        return form(call, int.from_bytes(data, "little"))

    return lambda call, va: elements(call, va, n, size, item)


def buffer_of(count: int) -> Format:
    """Bytes that the program passes; argument ``count`` says how many."""
    return lambda call, va: buffer(call, va, call.arguments[count])


def buffer_filled(call: Call, va: int) -> str:
    """Bytes that the call has stored: as many as it returned."""
    return address(call, va) if call.failed else buffer(call, va, call.result)
