"""Breakpoints, watchpoints and catchpoints: what a user wants to stop at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Access = Literal["read", "write", "access"]


@dataclass(eq=False)
class Point:
    """What they have in common.

    Attributes:
        number: for people; from 1, never used twice.
        enabled: whether it stops anything.
        temporary: it goes with its first stop.
        condition: an expression of Python's that must hold; see ``Debugger.evaluate``.
        ignore: so many times it is passed before it stops.
        hits: how often it was reached with its condition met.
        pid: only in this task.
    """

    number: int
    enabled: bool = field(default=True, kw_only=True)
    temporary: bool = field(default=False, kw_only=True)
    condition: str | None = field(default=None, kw_only=True)
    ignore: int = field(default=0, kw_only=True)
    hits: int = field(default=0, kw_only=True)
    pid: int | None = field(default=None, kw_only=True)


@dataclass(eq=False)
class Breakpoint(Point):
    """Stops before code.

    Attributes:
        spec: what was asked for: a symbol, ``*address`` or ``file:line``.
        addresses: where that is now, each with the file that must be mapped there, empty for the
            kernel and for plain addresses; none while it is pending.
    """

    spec: str = ""
    addresses: dict[int, str] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """Whether there is no such code yet."""
        return not self.addresses


@dataclass(eq=False)
class Watchpoint(Point):
    """Stops behind accesses.

    Attributes:
        spec: what was asked for.
        address, size: the range, in the address space of ``pid``, or the kernel's.
        access: a ``write`` stops only if it changes the value.
        old: the value when it was last looked at; None: nothing is mapped there.
    """

    spec: str = ""
    address: int = 0
    size: int = 8
    access: Access = "write"
    old: bytes | None = None


@dataclass(eq=False)
class Catchpoint(Point):
    """Stops at events of the kernel's or the CPU's.

    Attributes:
        kind: the event's: ``syscall``, ``exception``, ``fork``, …
        what: which of them, as they were named; empty: all.
        check: called where one of its addresses is reached; returns a line for people if that is
            such an event, else None.
        addresses: where it must be looked for.
    """

    kind: str = ""
    what: tuple[str, ...] = ()
    addresses: frozenset[int] = frozenset()
    check: Callable[[int], str | None] = field(default=lambda _: None, repr=False)
