"""What the processor does between instructions, and the engine leaves out.

This is the reference: the SDM's pseudo-code over the saved context, one function per mechanism.
``native.asm`` says the same for the host's processor and is tested against this file, register by
register and byte by byte.

Each function reads all that it needs, writes the new stack, and changes the context last; so an
exception on the way leaves the old state, from which the next one is delivered.

Events are delivered in IA-32e mode only; outside it, where the boot protocol never is, one shuts
the processor down.  A gate's code segment does not become accessed.  Where the tables lead outside
RAM, reads give all ones and what is pushed is lost, as on a bus where nobody answers.

See: Intel SDM vol. 3A, "Exception- or Interrupt-Handler Procedures", "64-Bit Mode Stack Frame",
"Interrupt Stack Table"; vol. 2A, "INT n/INTO/INT3/INT1", vol. 2B, "SYSCALL".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from emulator.arch import descriptors
from emulator.arch.exceptions import (
    CONTRIBUTORY,
    TRAPS,
    WITH_ERROR_CODE,
    CpuException,
    Vector,
)
from emulator.arch.paging import is_canonical
from emulator.arch.registers import CR0, EFER, RFLAGS
from emulator.cpu import mmu
from emulator.cpu.context import R11, RCX, RSP, Context
from emulator.memory import Ram

# hflags, the engine's digest of the mode: bits of its own, target/i386/cpu.h.
HF_CPL: Final = 3
HF_CS32: Final = 1 << 4
HF_SS32: Final = 1 << 5
HF_ADDSEG: Final = 1 << 6
HF_INHIBIT_IRQ: Final = 1 << 3
HF_CS64: Final = 1 << 15

CC_OP_EFLAGS: Final = 1  # the arithmetic flags are in cc_src
ARITHMETIC: Final = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF

# What SYSCALL loads: flat 64-bit code and data of ring 0, whatever the GDT says.
SYSCALL_CS_FLAGS: Final = 0x00A0_9B00
SYSCALL_SS_FLAGS: Final = 0x00C0_9300

_CODE: Final = 1 << 11 | 1 << 12
_CONFORMING: Final = 1 << 10
_DESCRIPTOR_PRESENT: Final = 1 << 15
_LONG: Final = 1 << 21
_DEFAULT_32: Final = 1 << 22
_M64: Final = (1 << 64) - 1


class Shutdown(Exception):
    """A triple fault: the processor has stopped for good."""


class Microcode:
    """SYSCALL, and delivery of interrupts and exceptions, on a saved context.

    Args:
        ram: the memory that page walks and pushes go to.
        context: the state that each function changes in place.
    """

    def __init__(self, ram: Ram, context: Context) -> None:
        self.ram = ram
        self.context = context
        self.layout = context.layout

    # SYSCALL

    def syscall(self, rip: int, rflags: int) -> None:
        """Enter ring 0 at LSTAR.

        Args:
            rip: address behind the instruction.
            rflags: its complete RFLAGS.

        Raises:
            CpuException: #UD, SYSCALL is not enabled, or this is not 64-bit code.
        """
        c, lay = self.context, self.layout
        if not c.u64[lay.efer >> 3] & EFER.SCE or not c.u32[lay.hflags >> 2] & HF_CS64:
            raise CpuException(Vector.UD)
        regs = lay.regs >> 3
        c.u64[regs + RCX] = rip & _M64
        c.u64[regs + R11] = rflags
        selector = c.u64[lay.star >> 3] >> 32 & 0xFFFC
        self._load_segment("cs", selector, SYSCALL_CS_FLAGS, 0xFFFF_FFFF)
        self._load_segment("ss", selector + 8, SYSCALL_SS_FLAGS, 0xFFFF_FFFF)
        self._enter_64bit(0)
        mask = c.u64[lay.fmask >> 3]
        self._load_flags(rflags & ~mask & ~RFLAGS.RF)
        c.u64[lay.rip >> 3] = c.u64[lay.lstar >> 3]

    # Interrupts and exceptions

    def deliver(self, vector: int, error_code: int, rip: int, rflags: int, *,
                software: bool = False, external: bool = False,
                restart: Callable[[], int] | None = None) -> int:
        """Deliver an event through the IDT; if that faults, the fault; and so on.

        Args:
            vector: 0 to 255.
            error_code: pushed if ``vector`` is an exception that has one.
            rip: where the handler's IRET goes.
            rflags: complete RFLAGS.
            software: INT n, INT3: the gate's DPL is checked.
            external: from a device.
            restart: with ``software``, called if the delivery faults: gives the address of the
                instruction, which the fault's handler will find as RIP.

        Returns:
            The vector that was delivered in the end.

        Raises:
            Shutdown: a fault while a double fault was delivered.
        """
        c, lay = self.context, self.layout
        if not c.u64[lay.efer >> 3] & EFER.LMA:
            raise Shutdown
        exception = vector < 32 and not software and not external
        while True:
            try:
                self._deliver(vector, error_code, rip, rflags, software, exception, external)
                return vector
            except CpuException as second:
                if restart is not None:
                    rip, restart = restart(), None
                vector, error_code = self._combine(vector if exception else None, second)
                software, external, exception = False, False, True

    def _combine(self, first: int | None, second: CpuException) -> tuple[int, int]:
        """Return what is delivered when ``second`` arises in the delivery of ``first``."""
        if second.cr2 is not None:
            self.context.u64[(self.layout.cr >> 3) + 2] = second.cr2
        if first == Vector.DF:
            raise Shutdown
        double = (first in CONTRIBUTORY and second.vector in CONTRIBUTORY) or (
            first == Vector.PF and (second.vector == Vector.PF or second.vector in CONTRIBUTORY)
        )
        return (Vector.DF, 0) if double else (second.vector, second.error_code)

    def _deliver(self, vector: int, error_code: int, rip: int, rflags: int, software: bool,
                 exception: bool, external: bool) -> None:
        c, lay = self.context, self.layout
        ext = 0 if software else 1
        idt = lay.segment("idt")
        if vector * 16 + 15 > c.u32[(idt + 16) >> 2]:
            raise CpuException(Vector.GP, vector * 8 + 2 + ext)
        gate = self._read(c.u64[(idt + 8) >> 3] + vector * 16, 16)
        access, ist = gate[5], gate[4] & 7
        cpl = c.u32[lay.hflags >> 2] & HF_CPL
        if access & 0x1F not in (descriptors.INTERRUPT_GATE, descriptors.TRAP_GATE):
            raise CpuException(Vector.GP, vector * 8 + 2 + ext)
        if software and access >> 5 & 3 < cpl:
            raise CpuException(Vector.GP, vector * 8 + 2)
        if not access & descriptors.GATE_PRESENT:
            raise CpuException(Vector.NP, vector * 8 + 2 + ext)
        selector = int.from_bytes(gate[2:4], "little")
        offset = int.from_bytes(gate[0:2] + gate[6:12], "little")
        flags, new_cpl = self._code_segment(selector, cpl, ext)

        rsp = c.u64[(lay.regs >> 3) + RSP]
        if ist:
            stack = self._tss(descriptors.TSS_IST1 + 8 * (ist - 1), ext)
        elif new_cpl < cpl:
            stack = self._tss(descriptors.TSS_RSP0 + 8 * new_cpl, ext)
        else:
            stack = rsp
        # For a fault, RF in the saved image keeps the restarted instruction from tripping the
        # same instruction breakpoint again: SDM vol. 3B, "Instruction-Breakpoint Exception".
        image = rflags | (RFLAGS.RF if exception and vector not in (*TRAPS, Vector.DB, Vector.DF)
                          else 0)
        frame = [rip, c.u32[lay.segment("cs") >> 2], image, rsp, c.u32[lay.segment("ss") >> 2]]
        if exception and vector in WITH_ERROR_CODE:
            frame.insert(0, error_code)
        stack = (stack & ~0xF) - 8 * len(frame) & _M64
        if not is_canonical(stack) or not is_canonical(stack + 8 * len(frame) - 1 & _M64):
            raise CpuException(Vector.SS, ext)
        if not is_canonical(offset):
            raise CpuException(Vector.GP, ext)
        self._write(stack, b"".join((word & _M64).to_bytes(8, "little") for word in frame))

        self._load_segment("cs", selector & ~3 | new_cpl, flags, 0xFFFF_FFFF)
        if new_cpl != cpl:
            self._load_segment("ss", new_cpl, new_cpl << 13, 0)
        self._enter_64bit(new_cpl)
        cleared = RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM
        if access & 0x1F == descriptors.INTERRUPT_GATE:
            cleared |= RFLAGS.IF
        self._load_flags(rflags & ~cleared)
        c.u64[(lay.regs >> 3) + RSP] = stack
        c.u64[lay.rip >> 3] = offset
        # Delivered: without this the engine takes the next #PF for a double fault.
        c.i32[lay.old_exception >> 2] = -1

    def _code_segment(self, selector: int, cpl: int, ext: int) -> tuple[int, int]:
        """Check a gate's code segment; return its flags and the privilege level it runs at."""
        c = self.context
        if selector & ~3 == 0:
            raise CpuException(Vector.GP, ext)
        error = selector & 0xFFFC | ext
        table = self.layout.segment("ldt" if selector & 4 else "gdt")
        if (selector & 0xFFF8) + 7 > c.u32[(table + 16) >> 2]:
            raise CpuException(Vector.GP, error)
        descriptor = self._read(c.u64[(table + 8) >> 3] + (selector & 0xFFF8), 8)
        flags = int.from_bytes(descriptor[4:], "little")
        dpl = flags >> 13 & 3
        if flags & _CODE != _CODE or dpl > cpl or flags & (_LONG | _DEFAULT_32) != _LONG:
            raise CpuException(Vector.GP, error)
        if not flags & _DESCRIPTOR_PRESENT:
            raise CpuException(Vector.NP, error)
        return flags, cpl if flags & _CONFORMING else dpl

    def _tss(self, offset: int, ext: int) -> int:
        """Read a stack pointer from the TSS."""
        c, tr = self.context, self.layout.segment("tr")
        if offset + 7 > c.u32[(tr + 16) >> 2]:
            raise CpuException(Vector.TS, c.u32[tr >> 2] & 0xFFFC | ext)
        return int.from_bytes(self._read(c.u64[(tr + 8) >> 3] + offset, 8), "little")

    # Ports

    def port_allowed(self, port: int, size: int, rflags: int) -> bool:
        """Tell whether the current ring may use ``size`` ports from ``port`` on.

        See: Intel SDM vol. 1, "I/O Privilege Level", "I/O Permission Bit Map".
        """
        c, lay = self.context, self.layout
        cpl = c.u32[lay.hflags >> 2] & HF_CPL
        if cpl <= (rflags & RFLAGS.IOPL) >> 12:
            return True
        tr = lay.segment("tr")
        base, limit = c.u64[(tr + 8) >> 3], c.u32[(tr + 16) >> 2]
        if limit < descriptors.TSS_IO_MAP_BASE + 1:
            return False
        byte = int.from_bytes(self._read(base + descriptors.TSS_IO_MAP_BASE, 2), "little")
        byte += port >> 3
        if byte + 1 > limit:  # the processor always reads two bytes
            return False
        bits = int.from_bytes(self._read(base + byte, 2), "little") >> (port & 7)
        return not bits & (1 << size) - 1

    # Pieces

    def _load_segment(self, name: str, selector: int, flags: int, limit: int) -> None:
        place = self.layout.segment(name)
        c = self.context
        c.u32[place >> 2] = selector
        c.u64[(place + 8) >> 3] = 0
        c.u32[(place + 16) >> 2] = limit
        c.u32[(place + 20) >> 2] = flags

    def _enter_64bit(self, cpl: int) -> None:
        c, place = self.context, self.layout.hflags >> 2
        hflags = c.u32[place] & ~(HF_CPL | HF_ADDSEG | HF_INHIBIT_IRQ)
        c.u32[place] = hflags | cpl | HF_CS32 | HF_SS32 | HF_CS64

    def _load_flags(self, rflags: int) -> None:
        c, lay = self.context, self.layout
        c.u32[lay.cc_op >> 2] = CC_OP_EFLAGS
        c.u64[lay.cc_src >> 3] = rflags & ARITHMETIC
        c.u64[lay.cc_dst >> 3] = 0
        c.i32[lay.df >> 2] = -1 if rflags & RFLAGS.DF else 1
        c.u64[lay.eflags >> 3] = rflags & ~(ARITHMETIC | RFLAGS.DF) | RFLAGS.RESERVED1

    def _paging(self) -> tuple[int, bool, bool] | None:
        c, cr = self.context, self.layout.cr >> 3
        cr0 = c.u64[cr]
        if not cr0 & CR0.PG:
            return None
        return c.u64[cr + 3], bool(cr0 & CR0.WP), bool(c.u64[self.layout.efer >> 3] & EFER.NXE)

    def _read(self, va: int, size: int) -> bytes:
        """Read a system structure: always as ring 0."""
        paging = self._paging()
        try:
            if paging is None:
                return self.ram.read(va, size)
            cr3, wp, nxe = paging
            return mmu.read_linear(self.ram, cr3, va & _M64, size, wp=wp, nxe=nxe)
        except IndexError:
            return b"\xff" * size

    def _write(self, va: int, data: bytes) -> None:
        paging = self._paging()
        with contextlib.suppress(IndexError):
            if paging is None:
                self.ram.write(va, data)
            else:
                cr3, wp, nxe = paging
                mmu.write_linear(self.ram, cr3, va, data, wp=wp, nxe=nxe)
