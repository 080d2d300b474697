"""Control registers, RFLAGS and model-specific registers.

See: Intel SDM vol. 3A, "Control Registers", "System Flags and Fields in the EFLAGS Register";
vol. 4 for the MSRs.
"""

from enum import IntEnum
from typing import Final


class RFLAGS:
    CF: Final = 1 << 0
    RESERVED1: Final = 1 << 1  # always 1
    PF: Final = 1 << 2
    AF: Final = 1 << 4
    ZF: Final = 1 << 6
    SF: Final = 1 << 7
    TF: Final = 1 << 8  # trap after the next instruction
    IF: Final = 1 << 9  # maskable interrupts are taken
    DF: Final = 1 << 10
    OF: Final = 1 << 11
    IOPL: Final = 3 << 12  # the ring that may use ports without the TSS bitmap
    NT: Final = 1 << 14
    RF: Final = 1 << 16  # no instruction breakpoint on the next instruction
    VM: Final = 1 << 17
    AC: Final = 1 << 18  # alignment check; with CR4.SMAP, ring 0 may touch user pages
    ID: Final = 1 << 21


class CR0:
    PE: Final = 1 << 0  # protected mode
    MP: Final = 1 << 1
    EM: Final = 1 << 2
    TS: Final = 1 << 3
    ET: Final = 1 << 4
    NE: Final = 1 << 5  # x87 errors are #MF
    WP: Final = 1 << 16  # ring 0 honours read-only pages too
    AM: Final = 1 << 18
    PG: Final = 1 << 31  # paging


class CR4:
    DE: Final = 1 << 3
    PSE: Final = 1 << 4
    PAE: Final = 1 << 5
    PGE: Final = 1 << 7  # global pages survive a CR3 load
    OSFXSR: Final = 1 << 9  # FXSAVE and SSE in use
    OSXMMEXCPT: Final = 1 << 10  # unmasked SSE errors are #XM
    FSGSBASE: Final = 1 << 16
    OSXSAVE: Final = 1 << 18
    SMEP: Final = 1 << 20
    SMAP: Final = 1 << 21


class EFER:
    SCE: Final = 1 << 0  # SYSCALL enabled
    LME: Final = 1 << 8  # long mode enabled
    LMA: Final = 1 << 10  # long mode active
    NXE: Final = 1 << 11  # no-execute bit in page-table entries


class MSR(IntEnum):
    IA32_TSC = 0x10
    IA32_APIC_BASE = 0x1B
    IA32_EFER = 0xC000_0080
    IA32_STAR = 0xC000_0081  # segment selectors of SYSCALL and SYSRET
    IA32_LSTAR = 0xC000_0082  # RIP after SYSCALL
    IA32_FMASK = 0xC000_0084  # RFLAGS bits that SYSCALL clears
    IA32_FS_BASE = 0xC000_0100
    IA32_GS_BASE = 0xC000_0101
    IA32_KERNEL_GS_BASE = 0xC000_0102  # SWAPGS exchanges it with the GS base
    IA32_TSC_AUX = 0xC000_0103  # what RDTSCP puts into ECX
