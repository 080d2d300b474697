"""Loading the native microcode: ``native.asm``, assembled for the host's processor."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import cache
from typing import Final

from emulator import assembler, sources
from emulator.arch import descriptors
from emulator.arch.exceptions import TRAPS, WITH_ERROR_CODE, Vector
from emulator.arch.paging import FRAME_MASK, PTE
from emulator.arch.registers import EFER, RFLAGS
from emulator.cpu import control, microcode
from emulator.cpu.binding import REGISTERS
from emulator.cpu.context import R11, RCX, RSP, Layout

SOURCE: Final = sources.beside(__file__, "native.asm")


def supported() -> bool:
    """Tell whether the host runs x86-64 code and grants executable memory."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


def symbols(layout: Layout, host_call_port: int) -> dict[str, int]:
    """Return every name that ``native.asm`` uses and does not define."""
    names = {f"CB_{n}": v for n, v in vars(control).items() if n.isupper() and isinstance(v, int)}
    names |= {f"EXIT_{e.name}": e.value for e in control.Exit}
    names |= {f"REG_{r.upper()}": n for r, n in REGISTERS.items()}
    segments = {f"CTX_{s.upper()}": layout.segment(s) for s in ("cs", "ss", "tr", "gdt", "idt")}
    flags = microcode
    names |= segments | {
        "CTX_RIP": layout.rip, "CTX_EFLAGS": layout.eflags, "CTX_HFLAGS": layout.hflags,
        "CTX_CC_OP": layout.cc_op, "CTX_CC_SRC": layout.cc_src, "CTX_CC_DST": layout.cc_dst,
        "CTX_DF": layout.df, "CTX_EFER": layout.efer, "CTX_STAR": layout.star,
        "CTX_LSTAR": layout.lstar, "CTX_FMASK": layout.fmask, "CTX_TSC_AUX": layout.tsc_aux,
        "CTX_CR0": layout.cr, "CTX_CR3": layout.cr + 24,
        "CTX_RCX": layout.regs + 8 * RCX, "CTX_RSP": layout.regs + 8 * RSP,
        "CTX_R11": layout.regs + 8 * R11,
        "CTX_ERROR_CODE": layout.error_code, "CTX_IS_INT": layout.exception_is_int,
        "CTX_OLD_EXCEPTION": layout.old_exception,
        "HOST_CALL_PORT": host_call_port, "TSS_RSP0": descriptors.TSS_RSP0,
        "EFER_SCE": int(EFER.SCE),
        "EFER_LMA_NXE": int(EFER.LMA | EFER.NXE), "HF_CS64": flags.HF_CS64,
        "RFLAGS_IF": int(RFLAGS.IF), "RFLAGS_RF": int(RFLAGS.RF),
        "HF_INHIBIT_IRQ": flags.HF_INHIBIT_IRQ,
        "HFLAGS_KEPT": 0xFFFF_FFFF & ~(flags.HF_CPL | flags.HF_ADDSEG | flags.HF_INHIBIT_IRQ),
        "HFLAGS_64BIT": flags.HF_CS32 | flags.HF_SS32 | flags.HF_CS64,
        "CC_OP_EFLAGS": flags.CC_OP_EFLAGS, "ARITHMETIC": int(flags.ARITHMETIC),
        "NOT_ARITHMETIC_NOR_DF": 0xFFFF_FFFF & ~int(flags.ARITHMETIC | RFLAGS.DF),
        "NOT_TF_NT_RF_VM": ~int(RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM),
        "NOT_IF": ~int(RFLAGS.IF),
        "SYSCALL_CS_FLAGS": flags.SYSCALL_CS_FLAGS, "SYSCALL_SS_FLAGS": flags.SYSCALL_SS_FLAGS,
        "WITH_ERROR_CODE": sum(1 << v for v in WITH_ERROR_CODE),
        "WITHOUT_RF": sum(1 << v for v in {*TRAPS, Vector.DB, Vector.DF}),
        "FRAME_MASK": FRAME_MASK, "PTE_PS": int(PTE.PS), "PTE_RW": int(PTE.RW),
        "PTE_D": int(PTE.D), "PTE_READ": int(PTE.P | PTE.A),
        "PTE_WRITE": int(PTE.P | PTE.A | PTE.RW),
    }
    return names


class NativeCode:
    """Assembled code in executable memory, which it keeps for ever: the engine has its addresses.

    Args:
        kind: a name for the cache.
        source, names: as :func:`assembler.assemble` takes them.
        words: values for 8-byte words of the code, by label: addresses, which no cache can hold.

    Attributes:
        entry: the address of each label.
    """

    def __init__(self, kind: str, source: str, names: dict[str, int],
                 words: dict[str, int] | None = None) -> None:
        def build() -> bytes:
            code, labels = assembler.assemble(source, 0, names)
            table = "".join(f"{name} {offset}\n" for name, offset in labels.items())
            return table.encode() + b"\0" + code

        image = assembler.cached(kind, f"{names}\n{source}".encode(), build)
        table, _, assembled = image.partition(b"\0")
        labels = {name: int(offset) for name, offset in map(str.split, table.decode().splitlines())}
        code = bytearray(assembled)
        for label, value in (words or {}).items():
            code[labels[label] : labels[label] + 8] = value.to_bytes(8, "little")
        # Written first and made executable after: never both at once.
        self._memory = mmap.mmap(-1, -(-len(code) // mmap.PAGESIZE) * mmap.PAGESIZE)
        self._memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(self._memory)),
                         mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "mprotect of native code")
        self.entry = {name: address + offset for name, offset in labels.items()}


@cache
def native_microcode(layout: Layout, host_call_port: int) -> NativeCode:
    """Return the microcode, one for all machines: what differs is in their control blocks."""
    return NativeCode("microcode", sources.read_text(SOURCE), symbols(layout, host_call_port))
