"""Control registers, RFLAGS and model-specific registers.

See: Intel SDM vol. 3A, "Control Registers", "System Flags and Fields in the EFLAGS Register";
vol. 4 for the MSRs.
"""

from enum import IntEnum, IntFlag


class RFLAGS(IntFlag):
    CF = 1 << 0
    RESERVED1 = 1 << 1  # always 1
    PF = 1 << 2
    AF = 1 << 4
    ZF = 1 << 6
    SF = 1 << 7
    TF = 1 << 8  # trap after the next instruction
    IF = 1 << 9  # maskable interrupts are taken
    DF = 1 << 10
    OF = 1 << 11
    IOPL = 3 << 12  # the ring that may use ports without the TSS bitmap
    NT = 1 << 14
    RF = 1 << 16  # no instruction breakpoint on the next instruction
    VM = 1 << 17
    AC = 1 << 18  # alignment check; with CR4.SMAP, ring 0 may touch user pages
    ID = 1 << 21


class CR0(IntFlag):
    PE = 1 << 0  # protected mode
    MP = 1 << 1
    EM = 1 << 2
    TS = 1 << 3
    ET = 1 << 4
    NE = 1 << 5  # x87 errors are #MF
    WP = 1 << 16  # ring 0 honours read-only pages too
    AM = 1 << 18
    PG = 1 << 31  # paging


class CR4(IntFlag):
    DE = 1 << 3
    PSE = 1 << 4
    PAE = 1 << 5
    PGE = 1 << 7  # global pages survive a CR3 load
    OSFXSR = 1 << 9  # FXSAVE and SSE in use
    OSXMMEXCPT = 1 << 10  # unmasked SSE errors are #XM
    FSGSBASE = 1 << 16
    OSXSAVE = 1 << 18
    SMEP = 1 << 20
    SMAP = 1 << 21


class EFER(IntFlag):
    SCE = 1 << 0  # SYSCALL enabled
    LME = 1 << 8  # long mode enabled
    LMA = 1 << 10  # long mode active
    NXE = 1 << 11  # no-execute bit in page-table entries


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
