"""What a debugger asks of whatever runs on the machine; a kernel answers, or nobody does.

Nothing here changes the machine.  A kernel's hosted half implements :class:`System`;
:class:`BareSystem` is a machine of which only the hardware is known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import NamedTuple, Protocol

from emulator.machine import Machine


class Area(NamedTuple):
    """A range of an address space.

    Attributes:
        start, end: addresses; the end is the first byte behind it.
        rights: as /proc/pid/maps has them, ``r-xp``.
        offset: into the file, bytes.
        name: the file's path, or ``[heap]`` and the like, or empty.
        file: what is mapped, for :meth:`System.content`; equal for equal files; 0: none.
    """

    start: int
    end: int
    rights: str
    offset: int
    name: str
    file: int


class Task(NamedTuple):
    """A task, as ps(1) would tell of it.

    Attributes:
        pid, tgid, ppid: its number, its process's, and its parent's.
        comm: its name.
        state: ps(1)'s letter and words, such as ``S (sleeping)``.
        mm: which address space it has; 0: none of its own.
    """

    pid: int
    tgid: int
    ppid: int
    comm: str
    state: str
    mm: int


class System(Protocol):
    """The interface."""

    @property
    def symbols(self) -> Mapping[str, int]:
        """The kernel's symbols: addresses by name."""

    def current(self) -> int:
        """Return the running task's number; 0 if there is none."""

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks, in order of birth."""

    def page_table(self, pid: int) -> int:
        """Return the physical address of a task's PML4."""

    def areas(self, pid: int) -> list[Area]:
        """Return a task's mappings, in order of address; none for a kernel thread."""

    def content(self, file: int) -> bytes:
        """Return a mapped file's content."""

    def version(self, file: int) -> Hashable:
        """Return what is another value when a mapped file is another, or its content."""

    def user_registers(self, pid: int) -> dict[str, int]:
        """Return the registers with which a task that is in the kernel goes back to ring 3."""

    def kernel_registers(self, pid: int) -> dict[str, int]:
        """Return the registers with which a task that does not run goes on in the kernel.

        Those that are not kept over a call are missing.
        """

    def stack(self, pid: int) -> range:
        """Return where a task's kernel stack lies."""

    def handler(self, number: int) -> Callable[..., object] | None:
        """Return the hosted function that serves a host call that is about to be made."""

    def is_text(self, va: int) -> bool:
        """Tell whether an address is the kernel's code."""


class BareSystem:
    """A machine without a kernel that we know."""

    def __init__(self, machine: Machine, symbols: Mapping[str, int] | None = None) -> None:
        self._machine = machine
        self.symbols: Mapping[str, int] = dict(symbols or {})

    def current(self) -> int:
        return 0

    def tasks(self) -> Iterator[Task]:
        return iter(())

    def page_table(self, _pid: int) -> int:
        return self._machine.cpu.regs.cr3

    def areas(self, _pid: int) -> list[Area]:
        return []

    def content(self, file: int) -> bytes:
        raise LookupError(f"no file {file}")

    def version(self, file: int) -> Hashable:
        raise LookupError(f"no file {file}")

    def user_registers(self, pid: int) -> dict[str, int]:
        raise LookupError(f"no task {pid}")

    kernel_registers = user_registers

    def stack(self, _pid: int) -> range:
        return range(0)

    def handler(self, _number: int) -> Callable[..., object] | None:
        return None

    def is_text(self, _va: int) -> bool:
        return False
