"""A CPU that runs every native hook twice, natively and by the reference, and compares.

The native hook runs first, on the state as the engine has it; then that state is put back and the
Python reference runs.  Afterwards every byte of the context, of RAM and of the control block must
be the same.  A difference is an AssertionError out of ``run``.
"""

from __future__ import annotations

import ctypes
from typing import Any

from emulator.cpu import binding, control
from emulator.cpu.binding import lib
from emulator.cpu.context import Context
from emulator.cpu.cpu import HOST_CALL_PORT, Cpu

TYPES = {
    "on_block": binding.BLOCK_HOOK, "on_intr": binding.INTR_HOOK,
    "on_syscall": binding.SYSCALL_HOOK, "on_out": binding.OUT_HOOK,
    "on_rdtsc": binding.HANDLED_HOOK, "on_rdtscp": binding.HANDLED_HOOK,
}
# The native code's scratch word is nobody's state.
SCRATCH = range(control.SCRATCH, control.SCRATCH + 8)


class State:
    """The context, RAM and control block at one moment."""

    def __init__(self, cpu: Cpu, *, words_only: bool = False) -> None:
        self.words = bytearray(cpu.words.cast("B"))
        self.words[SCRATCH.start : SCRATCH.stop] = bytes(8)
        self.context = self.ram = b""
        if not words_only:
            blob = Context(cpu.uc, cpu.layout)
            lib.uc_context_save(cpu.uc, blob.pointer)
            self.context = bytes(blob.state)
            self.ram = bytes(cpu.ram.u8)

    def load(self, cpu: Cpu) -> None:
        """Put it back."""
        cpu.words.cast("B")[:] = self.words
        if self.context:
            blob = Context(cpu.uc, cpu.layout)
            blob.state[:] = self.context
            lib.uc_context_restore(cpu.uc, blob.pointer)
            cpu.ram.u8[:] = self.ram

    def differences(self, other: State, cpu: Cpu) -> list[str]:
        """Say where two states differ, by name where there is one."""
        lay = cpu.layout
        base = lay.regs
        names = {getattr(lay, name) - base: name for name in lay.__dataclass_fields__
                 if name != "size"}
        names |= {lay.segment(s) - base: s for s in ("cs", "ss", "tr", "gdt", "idt")}
        found = []
        for kind in ("context", "ram", "words"):
            ours, theirs = getattr(self, kind), getattr(other, kind)
            if ours == theirs:
                continue
            for place in range(0, len(ours), 8):
                if ours[place : place + 8] == theirs[place : place + 8]:
                    continue
                near = max((n for n in names if n <= place), default=0)
                name = f" ({names.get(near)}+{place - near})" if kind == "context" else ""
                found.append(f"{kind} {place:#x}{name}: native "
                             f"{int.from_bytes(ours[place : place + 8], 'little'):#x}, reference "
                             f"{int.from_bytes(theirs[place : place + 8], 'little'):#x}")
        return found


def compare(cpu: Cpu, native: Any, python: Any, arguments: tuple[Any, ...], *,
            words_only: bool = False) -> Any:
    """Call both twins from the present state; return the reference's answer.

    Raises:
        AssertionError: they differ in a byte, or in the answer.
    """
    before = State(cpu, words_only=words_only)
    answer = native(*arguments)
    ours = State(cpu, words_only=words_only)
    before.load(cpu)
    expected = python(*arguments)
    theirs = State(cpu, words_only=words_only)
    assert answer == expected, f"native answers {answer}, the reference {expected}"
    differences = ours.differences(theirs, cpu)
    assert not differences, "\n".join([f"the twins of {arguments} differ:", *differences[:20]])
    return expected


class TwinCpu(Cpu):
    """A CPU with native microcode that is checked at every trap.

    Attributes:
        slow: how often native code has left its work to the reference.
        compared: how many pairs were compared, by hook.
    """

    def _choose(self, python: dict[str, Any]) -> dict[str, Any]:
        self.slow = 0
        self.compared = dict.fromkeys(TYPES, 0)
        chosen = super()._choose(python)
        for word, name in ((control.SLOW_INTR, "on_intr"), (control.SLOW_SYSCALL, "on_syscall")):
            counted = TYPES[name](self._counted(python[name]))
            self._callbacks.append(counted)
            self.words[word >> 3] = ctypes.cast(counted, ctypes.c_void_p).value or 0
        for name, type_ in TYPES.items():
            self.native[name] = type_(chosen[name])
            self.python[name] = python[name]
            chosen[name] = type_(self._shield(self._pair(name), 1))
            self._callbacks.append(chosen[name])
        return chosen

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.native: dict[str, Any] = {}
        self.python: dict[str, Any] = {}
        super().__init__(*arguments, **keywords)

    def _counted(self, hook: Any) -> Any:
        def slow(*arguments: Any) -> Any:
            self.slow += 1
            return hook(*arguments)

        return slow

    def _pair(self, name: str) -> Any:
        native, python = self.native[name], self.python[name]

        def both(*arguments: Any) -> Any:
            if name == "on_out" and arguments[1] != HOST_CALL_PORT:
                return native(*arguments)  # devices must not see the access twice
            self.compared[name] += 1
            return compare(self, native, python, arguments,
                           words_only=name in ("on_block", "on_out"))

        return both
