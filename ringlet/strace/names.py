"""Numbers that have names: one of several, or a set of bits.

A table is written as ``NAME=value`` words, in the order in which strace(1) looks: where bits
overlap, the first name takes them.  Values are Linux's on x86-64, whatever the host is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ringlet.strace.call import Call

TABLES: Final[list[Names | Flags]] = []  # all there are, for the test that compares them


def _parse(text: str) -> Iterator[tuple[str, int]]:
    for word in text.split():
        name, _, value = word.partition("=")
        yield name, int(value, 0)


class Names:
    """Values of which a number is one.

    Args:
        unknown: what strace calls any other, in a comment.
        bits: how many of the argument's register count.
    """

    __slots__ = ("_bits", "_names", "_unknown")

    def __init__(self, unknown: str, text: str, *, bits: int = 32) -> None:
        self._unknown = unknown
        self._bits = (1 << bits) - 1
        self._names: dict[int, str] = {}
        for name, value in _parse(text):
            self._names.setdefault(value, name)
        TABLES.append(self)

    def __call__(self, call: Call, value: int) -> str:
        value &= self._bits
        name = self._names.get(value)
        if name is not None:
            return name
        number = hex(value) if value else "0"
        return f"{number} /* {self._unknown} */" if self._unknown else number

    def get(self, value: int) -> str | None:
        """Return the name of ``value``, if it has one."""
        return self._names.get(value)

    def items(self) -> Iterator[tuple[str, int]]:
        """Yield names and values."""
        return ((name, value) for value, name in self._names.items())


class Flags:
    """Bits of which a number is a set.

    Args:
        unknown: what strace calls a number without a bit that has a name, in a comment.
        bits: how many of the argument's register count.
    """

    __slots__ = ("_bits", "_names", "_unknown")

    def __init__(self, unknown: str, text: str, *, bits: int = 32) -> None:
        self._unknown = unknown
        self._bits = (1 << bits) - 1
        self._names = tuple(_parse(text))
        TABLES.append(self)

    def __call__(self, call: Call, value: int) -> str:
        found, rest = self.split(value & self._bits)
        if rest or not found:
            number = hex(rest) if rest else "0"
            found.append(number if found or not rest or not self._unknown
                         else f"{number} /* {self._unknown} */")
        return "|".join(found)

    def split(self, value: int) -> tuple[list[str], int]:
        """Return the names of the bits that have one, and the bits that have none."""
        found: list[str] = []
        for name, flag in self._names:
            if value == flag or (flag and value & flag == flag):
                if flag or not found:
                    found.append(name)
                value &= ~flag
                if not value:
                    break
        return found, value

    def items(self) -> Iterator[tuple[str, int]]:
        """Yield names and values."""
        return iter(self._names)


def joined(found: list[str], rest: int) -> str:
    """Write what :meth:`Flags.split` has found, without a comment; empty for 0."""
    return "|".join([*found, hex(rest)] if rest else found)
