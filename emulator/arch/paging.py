"""The format of 4-level page tables.

     63  62..52  51 .......... 12  11..9  8  7   6  5   4    3   2   1   0
    +---+------+-----------------+------+--+---+--+--+----+----+---+---+--+
    |NX |  avl |  frame address  |  avl | G|PS | D| A| PCD| PWT|U/S|R/W| P|
    +---+------+-----------------+------+--+---+--+--+----+----+---+---+--+

A linear address is four 9-bit indices and a 12-bit offset; bits 63 to 48 repeat bit 47.

     63 ..... 48  47..39  38..30  29..21  20..12  11..0
      sign of 47   PML4    PDPT     PD      PT    offset

Only formats live here.  The code that walks tables and the code that edits them share this file
and nothing else, so that each tests the other.

See: Intel SDM vol. 3A, "4-Level Paging and 5-Level Paging".
"""

from enum import IntFlag
from typing import Final

PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
PAGE_MASK: Final = ~(PAGE_SIZE - 1)
LARGE_PAGE_SIZE: Final = 1 << 21
HUGE_PAGE_SIZE: Final = 1 << 30

ENTRIES_PER_TABLE: Final = 512
LEVELS: Final = ("PML4", "PDPT", "PD", "PT")
LEVEL_SHIFTS: Final = (39, 30, 21, 12)


class PTE(IntFlag):
    P = 1 << 0  # present
    RW = 1 << 1  # writable
    US = 1 << 2  # ring 3 may use it
    PWT = 1 << 3  # write-through
    PCD = 1 << 4  # cache disable
    A = 1 << 5  # accessed: set by the processor
    D = 1 << 6  # dirty: set by the processor
    PS = 1 << 7  # page size: the entry maps a 2 MiB or 1 GiB page
    G = 1 << 8  # global: survives a CR3 load
    NX = 1 << 63  # no instruction fetch


# Bits 51 to 12: physical addresses have at most 52 bits.
FRAME_MASK: Final = 0x000F_FFFF_FFFF_F000


def is_canonical(va: int) -> bool:
    """Tell whether bits 63 to 48 of ``va`` repeat bit 47."""
    return (va >> 47) in (0, 0x1FFFF)
