"""What a debugger sees of a machine: registers, memory, names, code.

Nothing here runs it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final

from emulator.arch.exceptions import CpuException
from emulator.cpu import mmu
from emulator.cpu.binding import REGISTERS
from emulator.machine import Machine
from emulator.system import Area, BareSystem, System
from guest_kernel.view import View
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.expressions import PARTS
from ringlet.debugger.symbols import Image, Line, Module, Symbol, SymbolTable, image, offset_from

if TYPE_CHECKING:
    from ringlet.session import Session

WORD: Final = 8
M64: Final = (1 << 64) - 1
_LONGEST_STRING: Final = 200

_FIELD: Final = re.compile(r"(?:current|task\((\d+)\))\.([a-z_][\w.]*)")


class Target:
    """A machine to look at.

    Args:
        subject: a session, or a bare machine.
        system: what runs on a bare machine, if anything is known of it.

    Attributes:
        session: it, or None.
        machine: it.
        system: its kernel.
    """

    def __init__(self, subject: Session | Machine, system: System | None = None) -> None:
        self.session: Session | None = None
        if isinstance(subject, Machine):
            self.machine = subject
            self.system: System = system or BareSystem(subject)
        else:
            self.session, self.machine = subject, subject.machine
            self.system = View(subject.kernel)
        self._kernel_table: SymbolTable | None = None
        # What the last task had mapped that was asked about, and what was read of it.
        self._seen: list[tuple[Hashable, list[Area]]] = []
        self._modules: list[Module] = []

    # Registers

    @property
    def rip(self) -> int:
        """The next instruction's address."""
        return self.machine.cpu.rip

    @property
    def pid(self) -> int:
        """The running task's number."""
        return self.system.current()

    @property
    def ring(self) -> int:
        """The privilege level."""
        return self.machine.cpu.cpl

    def register(self, name: str) -> int:
        """Return a register of the CPU's.

        Raises:
            DebuggerError: there is none of that name.
        """
        wide, size = PARTS.get(name, (name, 8))
        if wide not in REGISTERS:
            raise DebuggerError(f"There is no register {name}.")
        return self.machine.cpu.read_register(wide) & (1 << 8 * size) - 1

    def set_register(self, name: str, value: int) -> None:
        """Set a register of the CPU's, whole.

        Raises:
            DebuggerError: there is none of that name.
        """
        wide = PARTS.get(name, (name, WORD))
        if wide[0] not in REGISTERS or wide[1] != WORD:
            raise DebuggerError(f"There is no register {name} that can be set.")
        self.machine.cpu.write_register(wide[0], value & M64)

    # Memory

    def read(self, va: int, size: int, pid: int | None = None) -> bytes:
        """Return memory as a task sees it; without a task, as the CPU does now.

        Raises:
            DebuggerError: some of it is not mapped.
        """
        try:
            if pid is None:
                return self.machine.cpu.read_linear(va & M64, size)
            return mmu.read_linear(self.machine.ram, self.system.page_table(pid), va & M64, size,
                                   set_ad=False)
        except (CpuException, IndexError):
            raise DebuggerError(f"Cannot access memory at address {va & M64:#x}.") from None

    def read_string(self, va: int, pid: int | None = None) -> bytes:
        """Return a string of C's without its end; of a long one, the first 200 bytes.

        Raises:
            DebuggerError: some of it is not mapped.
        """
        text = bytearray()
        while len(text) < _LONGEST_STRING:
            byte = self.read(va + len(text), 1, pid)
            if byte == b"\0":
                break
            text += byte
        return bytes(text)

    def write(self, va: int, data: bytes) -> None:
        """Store to memory as the CPU sees it now, whatever its rights.

        Raises:
            DebuggerError: some of it is not mapped; nothing is stored.
        """
        self.read(va, len(data))
        for at, byte in enumerate(data):
            self.machine.write_code(self.physical(va + at), bytes((byte,)))

    def physical(self, va: int, pid: int | None = None) -> int:
        """Return the physical address of a byte.

        Raises:
            DebuggerError: it is not mapped.
        """
        table = self.machine.cpu.regs.cr3 if pid is None else self.system.page_table(pid)
        if pid is None and not self.machine.cpu.regs.cr0 >> 31 & 1:
            return va
        try:
            return mmu.translate(self.machine.ram, table, va & M64, mmu.Access.READ, user=False,
                                 set_ad=False)
        except CpuException:
            raise DebuggerError(f"Cannot access memory at address {va & M64:#x}.") from None

    def area_at(self, va: int) -> Area | None:
        """Return the running task's mapping that contains an address."""
        return next((area for area in self.system.areas(self.pid) if area.start <= va < area.end),
                    None)

    # Names

    def modules(self, pid: int | None = None) -> list[Module]:
        """Return the ELF files that a task has mapped, in order of address."""
        found: dict[int, list[Area]] = {}
        for area in self.system.areas(self.pid if pid is None else pid):
            if area.file:
                found.setdefault(area.file, []).append(area)
        seen = [(self.system.version(file), areas) for file, areas in found.items()]
        if seen != self._seen:
            self._seen, self._modules = seen, self._read_modules(found)
        return self._modules

    def _read_modules(self, found: dict[int, list[Area]]) -> list[Module]:
        modules = []
        for file, areas in found.items():
            try:
                elf = image(self.system.content(file))
            except ValueError:
                continue
            modules.append(Module(areas[0].name, elf, _bias(elf, areas), areas[0].start,
                                  areas[-1].end))
        return sorted(modules, key=lambda module: module.start)

    def module_at(self, va: int, pid: int | None = None) -> Module | None:
        """Return the mapped file that an address of a task's belongs to."""
        for module in self.modules(pid):
            if module.start <= va < module.end:
                return module
        return None

    def symbol_at(self, va: int, pid: int | None = None) -> str | None:
        """Return ``name+offset`` of an address, or None."""
        if self._is_kernel(va):
            symbol = self._kernel_symbols().at(va)
            return None if symbol is None else offset_from(symbol, va)
        module = self.module_at(va, pid)
        return None if module is None else module.symbol(va)

    def symbol_name(self, va: int) -> str:
        """Return the name of the function that an address belongs to, or nothing."""
        return (self.symbol_at(va) or "").partition("+")[0]

    def line_at(self, va: int, pid: int | None = None) -> Line | None:
        """Return the line of source of an address, or None."""
        module = None if self._is_kernel(va) else self.module_at(va, pid)
        return None if module is None else module.line(va)

    def _is_kernel(self, va: int) -> bool:
        return va >= 1 << 63 or self.system.is_text(va) or not self.system.areas(self.pid)

    def _kernel_symbols(self) -> SymbolTable:
        if self._kernel_table is None:
            self._kernel_table = SymbolTable([
                Symbol(address, 0, name) for name, address in self.system.symbols.items()])
        return self._kernel_table

    def field(self, spec: str) -> tuple[int, int] | None:
        """Return address and size of a field of a task's; None: ``spec`` names none.

        Raises:
            DebuggerError: there is no such task or field.
        """
        match = _FIELD.fullmatch(spec.strip())
        if match is None or not isinstance(self.system, View):
            return None
        pid = self.pid if match[1] is None else int(match[1])
        try:
            return self.system.field(pid, match[2])
        except LookupError as error:
            raise DebuggerError(f"There is {error.args[0]}.") from None

    # Code

    def instruction(self, va: int) -> Any:
        """Return the instruction at an address, as Capstone has it; None if there is none."""
        for size in (15, 8, 4, 2, 1):
            try:
                code = self.read(va, size)
            except DebuggerError:
                continue
            return next(_decoder().disasm(code, va, 1), None)
        return None

    def disassemble(self, va: int, count: int = 10) -> list[Any]:
        """Return instructions from an address on, up to where none can be read."""
        found = []
        for _ in range(count):
            instruction = self.instruction(va)
            if instruction is None:
                break
            found.append(instruction)
            va += instruction.size
        return found

    def operands(self, instruction: Any) -> list[str]:
        """Return what the operands of the instruction at RIP in memory are: address and value."""
        import capstone.x86

        lines = []
        for operand in instruction.operands:
            if operand.type != capstone.x86.X86_OP_MEM or instruction.mnemonic == "lea":
                continue
            place = operand.mem
            address = place.disp
            if place.base:
                address += self.register(instruction.reg_name(place.base))
                if instruction.reg_name(place.base) == "rip":
                    address += instruction.size
            if place.index:
                address += self.register(instruction.reg_name(place.index)) * place.scale
            segment = instruction.reg_name(place.segment) if place.segment else ""
            if segment in ("fs", "gs"):
                address += self.register(f"{segment}_base")
            address &= M64
            try:
                value = shown(self.read(address, operand.size))
            except DebuggerError:
                value = "not mapped"
            lines.append(f"[{address:#x}] = {value}")
        return lines


def _bias(elf: Image, areas: list[Area]) -> int:
    """Return what a mapped file's addresses have been moved by."""
    if not elf.relocatable:
        return 0
    for area in areas:
        for offset, va, size in elf.segments:
            if offset <= area.offset < offset + max(size, 1) or (
                    offset & ~0xFFF) == area.offset:
                return int(area.start - (va - (offset - area.offset)))
    return int(areas[0].start)


def shown(value: bytes | None) -> str:
    """Return bytes as a number, if they are as many as a number has."""
    if value is None:
        return "not mapped"
    if len(value) in (1, 2, 4, 8):
        return hex(int.from_bytes(value, "little"))
    return value[:32].hex(" ") + ("…" if len(value) > 32 else "")


def _decoder() -> Any:
    global _capstone
    if _capstone is None:
        import capstone

        _capstone = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        _capstone.detail = True
    return _capstone


_capstone: Any = None
