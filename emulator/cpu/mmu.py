"""The page walk, as the processor makes it: 4-level paging with 4 KiB, 2 MiB and 1 GiB pages.

The engine walks the tables itself for every instruction that it runs.  This walk is for the rest of
the machine: microcode that pushes a frame, a kernel that copies from user space, a debugger that
reads a stack.  It takes the same decisions, raises the same #PF with the same error code and sets
the same accessed and dirty bits, so a guest cannot tell which of the two made an access.  (Except
that the engine sets A in the entry of a 1 GiB page even if it then refuses the access.)

It reads tables and changes nothing in them but A and D.  It keeps no translations: what it answers
is what the tables say now, which a TLB need not.

Left out: SMEP, SMAP, protection keys and 5-level paging, which the CPU model does not offer, and
memory types (PWT, PCD, PAT), which a machine without caches does not have.

See: Intel SDM vol. 3A, "4-Level Paging and 5-Level Paging", "Access Rights", "Page-Fault
Exceptions", "Accessed and Dirty Flags".
"""

from enum import Enum
from typing import Final, NamedTuple

from emulator.arch.exceptions import CpuException, PageFaultError, Vector
from emulator.arch.paging import (
    FRAME_MASK,
    HUGE_PAGE_SIZE,
    LARGE_PAGE_SIZE,
    LEVEL_SHIFTS,
    LEVELS,
    PAGE_SIZE,
    PTE,
    is_canonical,
)
from emulator.memory import Ram

MAXPHYADDR: Final = 40

# No memory answers at this address: the bus floats high.  As a table entry that is a
# present one with reserved bits set, so a table outside RAM is a reserved-bit fault.
UNBACKED: Final = 0xFFFF_FFFF_FFFF_FFFF

# The same bits as plain integers: an IntFlag makes an object per operation, which
# would double the cost of a walk.
_P: Final = int(PTE.P)
_RW: Final = int(PTE.RW)
_US: Final = int(PTE.US)
_A: Final = int(PTE.A)
_D: Final = int(PTE.D)
_PS: Final = int(PTE.PS)
_NX: Final = int(PTE.NX)

_PRESENT_FAULT: Final = int(PageFaultError.P)
_RESERVED_FAULT: Final = int(PageFaultError.P | PageFaultError.RSVD)

# Reserved whatever the level: bits 51 to MAXPHYADDR.
_ABOVE_MAXPHYADDR: Final = FRAME_MASK & -(1 << MAXPHYADDR)
# A large page is aligned, so the low bits of its frame are reserved; bit 12 is PAT.
_LOW_FRAME_2M: Final = (LARGE_PAGE_SIZE - 1) & -(1 << 13)
_LOW_FRAME_1G: Final = (HUGE_PAGE_SIZE - 1) & -(1 << 13)

# Per level: the shift of its index, the bit by which a present entry is a leaf, the
# reserved bits of an entry that points to a table, and those of a leaf.
_WALK: Final = (
    (LEVEL_SHIFTS[0], 0, _ABOVE_MAXPHYADDR | _PS, 0),
    (LEVEL_SHIFTS[1], _PS, _ABOVE_MAXPHYADDR, _ABOVE_MAXPHYADDR | _LOW_FRAME_1G),
    (LEVEL_SHIFTS[2], _PS, _ABOVE_MAXPHYADDR, _ABOVE_MAXPHYADDR | _LOW_FRAME_2M),
    (LEVEL_SHIFTS[3], _P, 0, _ABOVE_MAXPHYADDR),
)


class Access(Enum):
    """What an access does with the page."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"


class WalkStep(NamedTuple):
    """One entry that a walk read.

    Attributes:
        level: ``PML4``, ``PDPT``, ``PD`` or ``PT``.
        entry_pa: where the entry lies.
        entry: its value; all ones if ``entry_pa`` is outside RAM.
    """

    level: str
    entry_pa: int
    entry: int


def steps(ram: Ram, cr3: int, va: int) -> list[WalkStep]:
    """Return the entries that a walk for ``va`` reads, from the PML4 down; for explanations.

    The last one is a leaf, or not present, or has a reserved bit set.  A non-canonical address is
    never walked, so it has none.  Sets no bits.
    """
    walked: list[WalkStep] = []
    if not is_canonical(va):
        return walked
    table = cr3 & FRAME_MASK
    for level, (shift, leaf_bit, table_reserved, _) in zip(LEVELS, _WALK, strict=True):
        pa = table + (va >> shift - 3 & 0xFF8)
        entry = ram.u64[pa >> 3] if pa < ram.size else UNBACKED
        walked.append(WalkStep(level, pa, entry))
        if not entry & _P or entry & leaf_bit or entry & table_reserved:
            break
        table = entry & FRAME_MASK
    return walked


def translate(ram: Ram, cr3: int, va: int, access: Access, *, user: bool, wp: bool = True,
              nxe: bool = True, set_ad: bool = True) -> int:
    """Return the physical address that ``va`` has for this access, or raise what the CPU raises.

    The result may lie outside RAM: devices have addresses too.

    Args:
        cr3: the register; its low 12 bits do not matter.
        user: the access is made by ring 3.
        wp: CR0.WP: ring 0 honours read-only pages.
        nxe: EFER.NXE: bit 63 forbids fetches; without it, bit 63 is reserved.
        set_ad: set A in each entry that the walk follows, and on success in the leaf, with D if
            ``access`` is a write.  A debugger that only looks passes False.

    Raises:
        CpuException: #GP(0) for a non-canonical address; #PF with its error code and CR2 if an
            entry is not present, has a reserved bit set, or forbids the access.
    """
    if not is_canonical(va):
        raise CpuException(Vector.GP, 0)
    u64 = ram.u64
    table = cr3 & FRAME_MASK
    allowed = _RW | _US  # what every level so far allows
    no_execute = 0  # set if any level so far says so
    for shift, leaf_bit, table_reserved, leaf_reserved in _WALK:
        pa = table + (va >> shift - 3 & 0xFF8)
        entry = u64[pa >> 3] if pa < ram.size else UNBACKED
        if not entry & _P:
            raise _page_fault(0, va, access, user, nxe)
        leaf = entry & leaf_bit
        if entry & (leaf_reserved if leaf else table_reserved) or (not nxe and entry & _NX):
            raise _page_fault(_RESERVED_FAULT, va, access, user, nxe)
        allowed &= entry
        no_execute |= entry & _NX
        if leaf:
            break
        # Following an entry is using it, even if a lower level then faults.
        if set_ad and not entry & _A:
            u64[pa >> 3] = entry | _A
        table = entry & FRAME_MASK

    write = access is Access.WRITE
    if (
        (user and not allowed & _US)
        or (write and not allowed & _RW and (user or wp))
        or (no_execute and access is Access.EXECUTE)
    ):
        raise _page_fault(_PRESENT_FAULT, va, access, user, nxe)
    if set_ad:
        used = entry | _A | _D if write else entry | _A
        if used != entry:
            u64[pa >> 3] = used
    offset_mask = (1 << shift) - 1
    return entry & FRAME_MASK & ~offset_mask | va & offset_mask


def _page_fault(cause: int, va: int, access: Access, user: bool, nxe: bool) -> CpuException:
    """Make the #PF: ``cause`` is P and RSVD, the other bits describe the access."""
    error_code = cause
    if access is Access.WRITE:
        error_code |= PageFaultError.W
    # Without NXE (or SMEP) the processor does not report that it was a fetch.
    elif access is Access.EXECUTE and nxe:
        error_code |= PageFaultError.I
    if user:
        error_code |= PageFaultError.U
    return CpuException(Vector.PF, int(error_code), cr2=va)


def read_linear(ram: Ram, cr3: int, va: int, size: int, *, access: Access = Access.READ,
                user: bool = False, wp: bool = True, nxe: bool = True,
                set_ad: bool = True) -> bytes:
    """Return ``size`` bytes from ``va`` on, page by page.

    Args:
        access: READ, or EXECUTE for instruction bytes.

    Raises:
        CpuException: see :func:`translate`; CR2 is the first byte that cannot be read.
        IndexError: a page is mapped to a physical address outside RAM.
    """
    return b"".join([
        ram.read(pa, length)
        for pa, length in _extents(ram, cr3, va, size, access, user, wp, nxe, set_ad)
    ])


def write_linear(ram: Ram, cr3: int, va: int, data: bytes | bytearray | memoryview, *,
                 user: bool = False, wp: bool = True, nxe: bool = True,
                 set_ad: bool = True) -> None:
    """Store ``data`` at ``va``, page by page: all of it, or nothing.

    If a later page faults, earlier ones may have become accessed and dirty without being written,
    which the manual allows the processor too.  Translated code is not dropped; see ``Ram.write``.

    Raises:
        CpuException: see :func:`translate`; CR2 is the first byte that cannot be written.
        IndexError: a page is mapped to a physical address outside RAM.
    """
    extents = _extents(ram, cr3, va, len(data), Access.WRITE, user, wp, nxe, set_ad)
    for pa, length in extents:
        if pa + length > ram.size:
            raise IndexError(f"virtual {va:#x} is mapped outside RAM, to physical {pa:#x}")
    done = 0
    for pa, length in extents:
        ram.u8[pa : pa + length] = data[done : done + length]
        done += length


def _extents(ram: Ram, cr3: int, va: int, size: int, access: Access, user: bool, wp: bool,
             nxe: bool, set_ad: bool) -> list[tuple[int, int]]:
    """Return ``(pa, length)`` of each page's part of a linear range."""
    extents: list[tuple[int, int]] = []
    end = va + size
    while va < end:
        length = min(end - va, PAGE_SIZE - va % PAGE_SIZE)
        pa = translate(ram, cr3, va, access, user=user, wp=wp, nxe=nxe, set_ad=set_ad)
        extents.append((pa, length))
        va += length
    return extents
