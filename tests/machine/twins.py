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
    """The context, RAM and control block at one moment, in buffers that are used again."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.blob = Context(cpu.uc, cpu.layout)
        self.ram = ctypes.create_string_buffer(cpu.ram.size)
        self.words = b""

    def save(self, *, words_only: bool) -> None:
        words = bytearray(self.cpu.words.cast("B"))
        words[SCRATCH.start : SCRATCH.stop] = bytes(8)
        self.words = bytes(words)
        if not words_only:
            lib.uc_context_save(self.cpu.uc, self.blob.pointer)
            ctypes.memmove(self.ram, self.cpu.ram.address, self.cpu.ram.size)

    def load(self, *, words_only: bool) -> None:
        self.cpu.words.cast("B")[:] = self.words
        if not words_only:
            lib.uc_context_restore(self.cpu.uc, self.blob.pointer)
            ctypes.memmove(self.cpu.ram.address, self.ram, self.cpu.ram.size)

    def differences(self, other: State, *, words_only: bool) -> list[str]:
        """Say where two states differ, by name where there is one."""
        lay = self.cpu.layout
        base = lay.regs
        names = {getattr(lay, name) - base: name for name in lay._fields
                 if name != "size"}
        names |= {lay.segment(s) - base: s for s in ("cs", "ss", "tr", "gdt", "idt")}
        pairs = [("word", self.words, other.words)]
        if not words_only:
            pairs.append(("context", bytes(self.blob.state), bytes(other.blob.state)))
            if _memcmp(self.ram, other.ram, self.cpu.ram.size):
                pairs.append(("ram", self.ram.raw, other.ram.raw))
        found = []
        for kind, ours, theirs in pairs:
            for place in range(0, len(ours), 8) if ours != theirs else ():
                if ours[place : place + 8] == theirs[place : place + 8]:
                    continue
                near = max((n for n in names if n <= place), default=0)
                name = f" ({names.get(near)}+{place - near})" if kind == "context" else ""
                found.append(f"{kind} {place:#x}{name}: native "
                             f"{int.from_bytes(ours[place : place + 8], 'little'):#x}, reference "
                             f"{int.from_bytes(theirs[place : place + 8], 'little'):#x}")
        return found


_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


class Comparer:
    """Runs twins on one CPU and compares what they do."""

    def __init__(self, cpu: Cpu) -> None:
        self.before, self.ours, self.theirs = State(cpu), State(cpu), State(cpu)

    def compare(self, native: Any, python: Any, arguments: tuple[Any, ...], *,
                words_only: bool = False) -> Any:
        """Call both twins from the present state; return the reference's answer.

        Raises:
            AssertionError: they differ in a byte, or in the answer.
        """
        self.before.save(words_only=words_only)
        answer = native(*arguments)
        self.ours.save(words_only=words_only)
        self.before.load(words_only=words_only)
        expected = python(*arguments)
        self.theirs.save(words_only=words_only)
        assert answer == expected, f"native answers {answer}, the reference {expected}"
        found = self.ours.differences(self.theirs, words_only=words_only)
        assert not found, "\n".join([f"the twins of {arguments} differ:", *found[:20]])
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
            chosen[name] = type_(self.shield(self._pair(name), 1))
            self._callbacks.append(chosen[name])
        return chosen

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.native: dict[str, Any] = {}
        self.python: dict[str, Any] = {}
        super().__init__(*arguments, **keywords)
        self.comparer = Comparer(self)

    def _counted(self, hook: Any) -> Any:
        def slow(*arguments: Any) -> Any:
            self.slow += 1
            return hook(*arguments)

        return slow

    def _pair(self, name: str) -> Any:
        native, python = self.native[name], self.python[name]

        def both(*arguments: Any) -> Any:
            if name == "on_out" and (arguments[1] != HOST_CALL_PORT or self.cpl):
                return native(*arguments)  # the reference's own; devices must not see it twice
            self.compared[name] += 1
            return self.comparer.compare(native, python, arguments,
                                         words_only=name in ("on_block", "on_out"))

        return both
