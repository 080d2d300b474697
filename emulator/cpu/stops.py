"""Where a debugger wants a run to stop: steps, breakpoints, watchpoints; nothing the guest sees.

A breakpoint is a code hook of the engine on one address; a watchpoint is a memory hook on a range
of physical memory, so it sees every mapping.  To stop behind an access, or behind any instruction
in a step, every instruction is hooked.  Hooks change how code is translated and so how it is cut
into blocks, which changes nothing: see :mod:`emulator.cpu.control`.  While anything is watched, the
engine takes a slow way at each load and store, and at each instruction.

The guest's own debug registers are another thing, and stay the guest's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from emulator.cpu import binding, control
from emulator.cpu.control import Exit

if TYPE_CHECKING:
    from emulator.cpu.cpu import Cpu

WIDEST: Final = 64  # bytes of one access, at most

AccessKind = Literal["read", "write"]
_HOOKS: Final[dict[AccessKind, int]] = {"read": binding.UC_HOOK_MEM_READ,
                                        "write": binding.UC_HOOK_MEM_WRITE}


class Watch(NamedTuple):
    """A range of physical memory to be told of.

    Attributes:
        start, size: in bytes.
        kinds: which accesses.
    """

    start: int
    size: int
    kinds: frozenset[AccessKind]


class Access(NamedTuple):
    """One load or store of the guest's, in a range that is watched.

    Attributes:
        kind: of the access.
        pa, size: what it reached.
        value: what is stored, its low 8 bytes; 0 for a load.
        rip: the instruction.
    """

    kind: AccessKind
    pa: int
    size: int
    value: int
    rip: int


class Stops:
    """The breakpoints and watchpoints of one CPU.

    Attributes:
        passed: the clock and the address of the last stop: a breakpoint there is not reported
            again before the instruction has been executed.
        accesses: what has been seen of the watched ranges since the run began, the last run's
            only.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._breakpoints: dict[int, int] = {}  # address: handle
        self._watches: tuple[Watch, ...] = ()
        self._watching: list[int] = []  # handles
        self._instructions: int | None = None  # handle
        # What the engine calls, which must not be collected.
        self._on_each = binding.BLOCK_HOOK(cpu.shield(self._on_code, None))
        self._on_one = binding.BLOCK_HOOK(cpu.shield(self._on_breakpoint, None))
        self._access: dict[AccessKind, tuple[int, Any]] = {
            kind: (hook, binding.MEMORY_HOOK(cpu.shield(partial(self._on_access, kind), None)))
            for kind, hook in _HOOKS.items()}
        self._hit = False
        self.passed: tuple[int, int] | None = None
        self.accesses: list[Access] = []

    @property
    def breakpoints(self) -> frozenset[int]:
        """The addresses where a run stops with :attr:`Exit.BREAKPOINT`, before the instruction."""
        return frozenset(self._breakpoints)

    @breakpoints.setter
    def breakpoints(self, addresses: Iterable[int]) -> None:
        wanted = frozenset(addresses)
        if wanted == self._breakpoints.keys():
            return
        self._remove([self._breakpoints.pop(address)
                      for address in self._breakpoints.keys() - wanted])
        for address in wanted - self._breakpoints.keys():
            self._breakpoints[address] = binding.hook_add(
                self._cpu.uc, binding.UC_HOOK_CODE, self._on_one, begin=address, end=address)
        binding.flush_tb(self._cpu.uc)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The ranges after an access to which a run stops with :attr:`Exit.WATCHPOINT`."""
        return self._watches

    @watches.setter
    def watches(self, watches: Iterable[Watch]) -> None:
        wanted = tuple(watches)
        if wanted == self._watches:
            return
        uc = self._cpu.uc
        self._remove(self._watching)
        self._watching.clear()
        self._watches = wanted
        for kind, (hook, callback) in self._access.items():
            self._watching += [
                binding.hook_add(uc, hook, callback, begin=max(0, watch.start - WIDEST + 1),
                                 end=watch.start + watch.size - 1)
                for watch in wanted if kind in watch.kinds]
        self.hook_instructions(bool(wanted))
        binding.flush_tb(uc)

    def hook_instructions(self, wanted: bool) -> None:
        """Let every instruction be hooked, so that a run can stop anywhere; or not.

        They stay hooked while anything is watched.  It takes all translations away.
        """
        wanted = wanted or bool(self._watches)
        if wanted == (self._instructions is not None):
            return
        if self._instructions is None:
            callback = self._cpu.native_hook("on_code") or self._on_each
            self._instructions = binding.hook_add(self._cpu.uc, binding.UC_HOOK_CODE, callback,
                                                  self._cpu.block_address)
        else:
            self._remove([self._instructions])
            self._instructions = None
        binding.flush_tb(self._cpu.uc)

    def _remove(self, handles: Iterable[int]) -> None:
        """Remove hooks; the engine looks for their addresses and leaves a page fault behind."""
        with self._cpu.edit():
            for handle in handles:
                binding.hook_del(self._cpu.uc, handle)

    def take_hit(self) -> bool:
        """Tell whether the run that has just ended did so because of an access."""
        hit, self._hit = self._hit, False
        if hit:
            self._cpu.words[control.STOP_NEXT >> 3] = 0
        return hit

    # The hooks

    def _on_breakpoint(self, _uc: int, address: int, _size: int, _data: int) -> None:
        words = self._cpu.words
        if (words[control.REFUSED >> 3] or words[control.EXIT >> 3]
                or words[control.STOP_NEXT >> 3] == 1):
            return  # the run is about to end
        end = words[control.BLOCK_START >> 3] + words[control.BLOCK_SIZE >> 3]
        clock = words[control.CLOCK >> 3] - (end - address)
        if self.passed != (clock, address):
            self.passed = clock, address
            # Whether this is a place for an interrupt was decided when the block began.
            words[control.STOPPED_INSIDE >> 3] = 1
            self._cpu.stop(Exit.BREAKPOINT)

    def _on_access(self, kind: AccessKind, _uc: int, _type: int, pa: int, size: int, value: int,
                   _data: int) -> None:
        words = self._cpu.words
        if words[control.REFUSED >> 3] or not any(
                pa < watch.start + watch.size and watch.start < pa + size
                for watch in self._watches if kind in watch.kinds):
            return
        self.accesses.append(Access(kind, pa, size, value & (1 << 8 * min(size, 8)) - 1,
                                    self._cpu.rip_inside()))
        self._hit = True
        # Before the next instruction, or where the next block begins.
        words[control.STOP_NEXT >> 3] = 1
        words[control.DEADLINE >> 3] = words[control.SLICE_END >> 3] = 0

    def _on_code(self, _uc: int, _address: int, _size: int, _data: int) -> None:
        words = self._cpu.words
        if not words[control.STOP_NEXT >> 3] or words[control.EXIT >> 3]:
            return
        words[control.STOP_NEXT >> 3] -= 1
        if not words[control.STOP_NEXT >> 3]:
            words[control.STOPPED_INSIDE >> 3] = 1
            self._cpu.stop(Exit.STEP)
