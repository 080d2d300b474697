"""The CPU's registers as the engine saves them: the context blob and its layout.

``uc_context_save`` copies the whole CPU state into a blob, ``uc_context_restore`` copies it back;
it is the only way to change privilege, since ``uc_reg_write`` of CS stores the selector alone.  The
blob is private to the engine, so its layout is measured when the module first needs it: known
values are written through the public interface and searched in the blob, and an engine whose blob
does not look as expected is refused with a message.
"""

import ctypes
from ctypes import c_uint32, c_uint64, c_void_p
from typing import Final, NamedTuple

from emulator.arch.registers import MSR
from emulator.cpu import binding
from emulator.cpu.binding import EngineError, check, lib

# The engine's order of general registers is the instruction encoding's.
GENERAL: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
RCX: Final = 1
RSP: Final = 4
R11: Final = 11

SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr", "gdt", "idt")


class uc_x86_msr(ctypes.Structure):
    """``uc_x86_msr`` of unicorn/x86.h."""

    _fields_ = (("rid", c_uint32), ("value", c_uint64))


class Layout(NamedTuple):
    """Byte offsets in the blob, all measured or checked.

    Segment caches are 24 bytes each: u32 selector, u64 base at 8, u32 limit at 16, u32 flags at 20.
    """

    size: int
    regs: int
    rip: int
    eflags: int  # in a hook, without the arithmetic flags and DF; between runs, with them
    cc_dst: int
    cc_src: int
    cc_src2: int
    cc_op: int  # u32; this, the three before and df count in a hook only: a run sets them
    df: int  # i32: 1 or -1
    hflags: int  # u32
    segments: int
    cr: int
    efer: int
    star: int
    lstar: int
    fmask: int
    kernel_gs_base: int
    tsc_aux: int
    error_code: int  # i32
    exception_is_int: int  # i32
    exception_next_eip: int  # behind the INT n
    dr: int
    old_exception: int  # i32

    def segment(self, name: str) -> int:
        """Return the offset of a segment cache."""
        return self.segments + 24 * SEGMENTS.index(name)


class Context:
    """A blob, with views of its bytes.

    Attributes:
        pointer: for the engine's functions.
        u8, u32, i32, u64: the blob as arrays; an index is the offset divided by the item's size.
        state: the CPU's part, which may be compared, kept, and copied from one context to another.
            What lies around it is the engine's own: before it a pointer, and bytes that have not
            been initialised; behind it where in its translated code the engine was.
    """

    __slots__ = ("i32", "layout", "pointer", "size", "state", "u8", "u32", "u64")

    def __init__(self, uc: c_void_p, layout: Layout | None = None) -> None:
        self.pointer = c_void_p()
        check(lib.uc_context_alloc(uc, ctypes.byref(self.pointer)), "allocate a context")
        self.size = lib.uc_context_size(uc) & ~7
        assert self.pointer.value is not None
        array = (ctypes.c_ubyte * self.size).from_address(self.pointer.value)
        self.u8 = memoryview(array).cast("B")
        self.u32 = self.u8.cast("I")
        self.i32 = self.u8.cast("i")
        self.u64 = self.u8.cast("Q")
        if layout is not None:
            self.layout = layout
            self.state = self.u8[layout.regs : -8]

    def __del__(self) -> None:
        if lib is not None and self.pointer.value:
            lib.uc_context_free(self.pointer)


def _write(uc: c_void_p, register: int, value: int) -> None:
    check(lib.uc_reg_write(uc, register, ctypes.byref(c_uint64(value))), f"write {register}")


def _write_msr(uc: c_void_p, number: int, value: int) -> None:
    msr = uc_x86_msr(number, value)
    check(lib.uc_reg_write(uc, binding.UC_X86_REG_MSR, ctypes.byref(msr)), f"write MSR {number:#x}")


_measured: Layout | None = None


def measure(uc: c_void_p) -> Layout:
    """Find the layout of the engine's blob, on an engine that has not run yet.

    Measured once a process; ``uc`` is left as it was.

    Raises:
        EngineError: the blob does not look like any that we know how to use.
    """
    global _measured
    if _measured is None:
        before = Context(uc)
        check(lib.uc_context_save(uc, before.pointer), "save a context")
        _measured = _measure(uc)
        check(lib.uc_context_restore(uc, before.pointer), "restore a context")
    return _measured


def _measure(uc: c_void_p) -> Layout:
    marks: dict[str, int] = {}

    def mark(name: str) -> int:
        marks[name] = 0x0000_5A5A_0000_0000 + 0x11_0001 * (len(marks) + 1)
        return marks[name]

    for name in (*GENERAL, "rip", "cr2", "dr0", "dr3", "fs_base"):
        _write(uc, binding.REGISTERS[name], mark(name))
    for msr in (MSR.IA32_STAR, MSR.IA32_LSTAR, MSR.IA32_FMASK, MSR.IA32_KERNEL_GS_BASE,
                MSR.IA32_TSC_AUX):
        _write_msr(uc, msr, mark(msr.name))
    efer = 0xD01  # SCE, LME, LMA, NXE
    _write_msr(uc, MSR.IA32_EFER, efer)
    _write(uc, binding.REGISTERS["cs"], 0x5B)
    _write(uc, binding.REGISTERS["rflags"], 0xAD7)  # all arithmetic flags, IF, TF clear
    context = Context(uc)
    check(lib.uc_context_save(uc, context.pointer), "save a context")
    blob = bytes(context.u8)

    def find(name: str) -> int:
        needle = marks[name].to_bytes(8, "little")
        place = blob.find(needle)
        if place < 0 or place % 8 or blob.find(needle, place + 1) >= 0:
            raise EngineError(
                f"Unicorn {'.'.join(map(str, binding.version()))}: {name} is not where a context "
                "can be read; this version of the engine cannot be used"
            )
        return place

    regs = find("rax")
    dr = find("dr0")
    layout = Layout(
        size=context.size, regs=regs, rip=find("rip"), eflags=regs + 136, cc_dst=regs + 144,
        cc_src=regs + 152, cc_src2=regs + 160, cc_op=regs + 168, df=regs + 172, hflags=regs + 176,
        segments=regs + 184, cr=find("cr2") - 16, efer=regs + 592, star=find("IA32_STAR"),
        lstar=find("IA32_LSTAR"), fmask=find("IA32_FMASK"),
        kernel_gs_base=find("IA32_KERNEL_GS_BASE"), tsc_aux=find("IA32_TSC_AUX"),
        error_code=dr - 16, exception_is_int=dr - 12, exception_next_eip=dr - 8, dr=dr,
        old_exception=dr + 96,
    )
    expected = {
        "general registers": all(find(r) == regs + 8 * i for i, r in enumerate(GENERAL)),
        "rip": layout.rip == regs + 128,
        "rflags": context.u32[layout.cc_src >> 2] & 0x8D5 == 0x8D5
        and context.u32[layout.cc_op >> 2] == 1
        and context.i32[layout.df >> 2] == 1,
        "hflags": context.u32[layout.hflags >> 2] & 3 == 0,
        "cs": context.u32[layout.segment("cs") >> 2] == 0x5B,
        "fs": find("fs_base") == layout.segment("fs") + 8,
        "cr": layout.cr == regs + 424,
        "efer": context.u64[layout.efer >> 3] == efer,
        "dr": find("dr3") == dr + 24,
        "old_exception": context.i32[layout.old_exception >> 2] == -1,
    }
    wrong = [name for name, holds in expected.items() if not holds]
    if wrong:
        raise EngineError(
            f"Unicorn {'.'.join(map(str, binding.version()))}: unexpected context layout "
            f"({', '.join(wrong)}); this version of the engine cannot be used"
        )
    return layout
