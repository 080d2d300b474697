"""Exception and interrupt vectors.

See: Intel SDM vol. 3A, "Interrupt and Exception Handling", table "Protected-Mode Exceptions
and Interrupts".
"""

from enum import IntEnum, IntFlag


class Vector(IntEnum):
    """The vectors that the processor itself uses.  32 to 255 are the system's to give out."""

    DE = 0  # divide error: fault
    DB = 1  # debug: fault or trap
    NMI = 2  # non-maskable interrupt
    BP = 3  # INT3: trap
    OF = 4  # INTO: trap
    BR = 5  # BOUND range exceeded: fault
    UD = 6  # invalid opcode: fault
    NM = 7  # device not available: fault
    DF = 8  # double fault: abort, error code 0
    TS = 10  # invalid TSS: fault
    NP = 11  # segment not present: fault
    SS = 12  # stack fault
    GP = 13  # general protection: fault
    PF = 14  # page fault: fault
    MF = 16  # x87 floating-point error: fault
    AC = 17  # alignment check: fault, error code 0
    MC = 18  # machine check: abort
    XM = 19  # SIMD floating-point error: fault


NR_VECTORS = 256
FIRST_EXTERNAL_VECTOR = 32

WITH_ERROR_CODE = frozenset({Vector.DF, Vector.TS, Vector.NP, Vector.SS, Vector.GP, Vector.PF,
                             Vector.AC})

# Of two exceptions in a row, which make a double fault: SDM vol. 3A, "Interrupt 8—Double
# Fault Exception (#DF)", table "Conditions for Generating a Double Fault".
CONTRIBUTORY = frozenset({Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP})

# RIP of a trap is behind the instruction; of all others, at it.
TRAPS = frozenset({Vector.BP, Vector.OF})


class PageFaultError(IntFlag):
    """The error code of #PF: SDM vol. 3A, "Interrupt 14—Page-Fault Exception (#PF)"."""

    P = 1 << 0  # the page was present: a protection violation
    W = 1 << 1  # the access was a write
    U = 1 << 2  # the access came from ring 3
    RSVD = 1 << 3  # a reserved bit was set in an entry
    I = 1 << 4  # noqa: E741  # the manual's "I/D": an instruction fetch


class CpuException(Exception):
    """An exception as the processor raises it; delivered in one place, through the IDT.

    Args:
        vector: see :class:`Vector`.
        error_code: what the processor pushes; ignored for a vector without one.
        cr2: the faulting address, for #PF only.
    """

    def __init__(self, vector: int, error_code: int = 0, cr2: int | None = None) -> None:
        super().__init__(vector, error_code, cr2)
        self.vector = vector
        self.error_code = error_code
        self.cr2 = cr2
