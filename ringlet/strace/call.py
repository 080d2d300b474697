"""One system call as it is printed: what is known of it, and how its arguments are put in a row.

strace(1) prints a call in two halves: when it begins, the arguments up to the first one that the
kernel fills; when it has ended, that one and the rest.  So a call is described by a
:class:`Signature`, a row of formats of which some are :class:`Out`; the row is cut once, when the
table is made, and a call then only runs the formats of its half.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from guest_kernel.errors import Errno

MAX_ERRNO: Final = 4095
MAX_STRLEN: Final = 32  # strace's -s: bytes shown of a string, elements shown of an array

# What a call answers to the kernel's own restart logic; never seen by the program.
_RESTARTS: Final = {
    512: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    513: "ERESTARTNOINTR (To be restarted)",
    514: "ERESTARTNOHAND (To be restarted if no handler)",
    516: "ERESTART_RESTARTBLOCK (Interrupted by signal)",
}


class Memory(Protocol):
    """The memory of the program that makes a call, to look at."""

    def read(self, va: int, size: int) -> bytes | None:
        """Return ``size`` bytes from ``va`` on; None if they cannot all be read."""

    def string(self, va: int, limit: int) -> tuple[bytes, bool] | None:
        """Return at most ``limit`` bytes up to a NUL, and whether there was one.

        None if the memory ends before either.
        """


@dataclass(slots=True)
class Call:
    """A system call that is under way or has ended.

    Attributes:
        memory: the caller's.
        arguments: the six registers.
        stack: the stack pointer.
        ended: it has returned, and ``result`` is what it returned, signed.
        restarted: its result asks the kernel to make it again: ERESTARTSYS and its like.
    """

    memory: Memory
    arguments: tuple[int, ...]
    ended: bool = False
    result: int = 0
    stack: int = 0

    @property
    def failed(self) -> bool:
        return self.ended and -MAX_ERRNO <= self.result < 0

    @property
    def restarted(self) -> bool:
        return self.ended and -self.result in _RESTARTS

    def fetch(self, va: int, size: int) -> bytes | None:
        """Return what an argument points to; None if it is to be printed as an address.

        That is so for NULL, for memory that cannot be read, and once the call has failed: what it
        would have filled is not worth looking at.
        """
        return None if not va or self.failed else self.memory.read(va, size)


# How a number, from a register or out of a structure, is written.  Numbers are unsigned.
Format: TypeAlias = Callable[[Call, int], str]


@dataclass(frozen=True, slots=True)
class Out:
    """An argument that is printed when the call has ended, with all that follow it."""

    format: Format


@dataclass(frozen=True, slots=True)
class Also:
    """More about argument ``index``, printed already: what the call has made of it."""

    index: int
    format: Format


@dataclass(frozen=True, slots=True)
class At:
    """Argument ``index``, out of its turn, perhaps with its name."""

    index: int
    format: Format
    name: str = ""
    out: bool = False


class _Piece(NamedTuple):
    before: str
    format: Format
    argument: int


class Signature:
    """The arguments of a call, in order, and what it returns.

    Args:
        arguments: a format for each; those from the first ``Out`` on are printed at the end.
        result: of a call that has not failed.
    """

    __slots__ = ("_after", "_before", "_comma", "_result")

    def __init__(self, *arguments: Format | Out | Also | At,
                 result: Format | None = None) -> None:
        before: list[_Piece] = []
        after: list[_Piece] = []
        index, half, comma = 0, before, ""
        # strace has written the comma by the time that the kernel fills an argument.
        self._comma = ""
        for argument in arguments:
            if isinstance(argument, Also):
                half = after
                after.append(_Piece("", argument.format, argument.index))
                continue
            if isinstance(argument, Out) or (isinstance(argument, At) and argument.out):
                if half is before and before:
                    self._comma, comma = comma, ""
                half = after
            if isinstance(argument, At):
                name = f"{argument.name}=" if argument.name else ""
                piece = _Piece(comma + name, argument.format, argument.index)
            else:
                form = argument.format if isinstance(argument, Out) else argument
                piece = _Piece(comma, form, index)
            half.append(piece)
            comma = ", "
            index += 1
        self._before, self._after = tuple(before), tuple(after)
        self._result = result

    @property
    def begun_whole(self) -> bool:
        """Tell whether all arguments are written when the call begins."""
        return not self._after

    def of(self, call: Call) -> Signature:
        """Return the signature of this very call: see :class:`Choice`."""
        return self

    def begin(self, call: Call) -> str:
        """Write the arguments that are known when the call begins."""
        return _join(call, self._before) + self._comma

    def end(self, call: Call) -> str:
        """Write the others, when it has ended."""
        return _join(call, self._after)

    def result(self, call: Call) -> str:
        """Write what it has returned."""
        if call.failed:
            if call.restarted:
                return f"? {_RESTARTS[-call.result]}"
            name = error_name(-call.result)
            return f"-1 {name} ({os.strerror(-call.result)})" if name else (
                f"-1 (errno {-call.result})")
        if self._result is None:
            return str(call.result)
        return self._result(call, call.result & 0xFFFF_FFFF_FFFF_FFFF)


class Choice:
    """A call whose arguments depend on the value of one: fcntl(2), ioctl(2), open(2)."""

    __slots__ = ("of",)

    def __init__(self, of: Callable[[Call], Signature]) -> None:
        self.of = of


def _join(call: Call, pieces: tuple[_Piece, ...]) -> str:
    arguments = call.arguments
    return "".join(
        piece.before + piece.format(call, arguments[piece.argument]) for piece in pieces)


def error_name(number: int) -> str | None:
    """Return the name of an error, if it has one."""
    return Errno(number).name if number in Errno._value2member_map_ else None
