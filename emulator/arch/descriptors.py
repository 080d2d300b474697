"""Segment selectors, descriptors, gates and the task-state segment of 64-bit mode.

The order of the GDT is forced by two instructions.  SYSCALL takes CS from STAR[47:32] and SS from
that plus 8; SYSRET takes SS from STAR[63:48] plus 8 and 64-bit CS from that plus 16.  Hence kernel
code, kernel data, user 32-bit code, user data, user 64-bit code.

See: Intel SDM vol. 3A, "Segment Descriptors", "IDT Descriptors", "Task Management in 64-bit Mode";
vol. 2B, "SYSCALL", "SYSRET".
"""

from typing import Final

# Selector: index << 3 | table indicator << 2 | requested privilege level.
KERNEL_CS: Final = 0x10
KERNEL_DS: Final = 0x18
USER32_CS: Final = 0x23
USER_DS: Final = 0x2B
USER_CS: Final = 0x33
TSS_SELECTOR: Final = 0x40

RPL_MASK: Final = 3

# Access byte and flags, as the upper half of an 8-byte descriptor holds them.
KERNEL_CODE_DESCRIPTOR: Final = 0x00AF_9B00_0000_FFFF  # P, DPL 0, code, readable, accessed, L
KERNEL_DATA_DESCRIPTOR: Final = 0x00CF_9300_0000_FFFF  # P, DPL 0, data, writable, accessed
USER32_CODE_DESCRIPTOR: Final = 0x00CF_FB00_0000_FFFF  # P, DPL 3, code, D
USER_DATA_DESCRIPTOR: Final = 0x00CF_F300_0000_FFFF  # P, DPL 3, data, writable
USER_CODE_DESCRIPTOR: Final = 0x00AF_FB00_0000_FFFF  # P, DPL 3, code, L

# A gate of the IDT, 16 bytes:
#   0 offset[15:0]  2 selector  4 IST[2:0]  5 P.DPL.0.type  6 offset[31:16]  8 offset[63:32]
GATE_SIZE: Final = 16
INTERRUPT_GATE: Final = 0xE  # clears RFLAGS.IF
TRAP_GATE: Final = 0xF  # leaves it
GATE_PRESENT: Final = 0x80

TSS_TYPE_AVAILABLE: Final = 0x9
TSS_RSP0: Final = 4
TSS_IST1: Final = 36
TSS_IO_MAP_BASE: Final = 102
TSS_SIZE: Final = 104


def gate(offset: int, selector: int, *, type_: int = INTERRUPT_GATE, dpl: int = 0,
         ist: int = 0) -> bytes:
    """Encode one gate of the IDT.

    Args:
        offset: address of the handler.
        selector: its code segment.
        type_: :data:`INTERRUPT_GATE` or :data:`TRAP_GATE`.
        dpl: the least privileged ring that may use the gate with ``INT n``.
        ist: 1 to 7 for a stack of the TSS's interrupt stack table, 0 for none.
    """
    access = GATE_PRESENT | dpl << 5 | type_
    return (
        (offset & 0xFFFF).to_bytes(2, "little")
        + selector.to_bytes(2, "little")
        + bytes((ist, access))
        + (offset >> 16 & 0xFFFF).to_bytes(2, "little")
        + (offset >> 32 & 0xFFFF_FFFF).to_bytes(4, "little")
        + bytes(4)
    )


def tss_descriptor(base: int, limit: int) -> bytes:
    """Encode the 16-byte descriptor of an available 64-bit TSS."""
    low = (
        limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | (GATE_PRESENT | TSS_TYPE_AVAILABLE) << 40
        | (limit >> 16 & 0xF) << 48
        | (base >> 24 & 0xFF) << 56
    )
    return low.to_bytes(8, "little") + (base >> 32 & 0xFFFF_FFFF).to_bytes(8, "little")
