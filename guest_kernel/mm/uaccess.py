"""How the kernel reads and writes user memory.

Each access walks the page table of the current task, page by page, with ring 3's rights, and takes
the same fault path as the CPU where the table does not allow it.  Kernel addresses are refused
before anything is walked.  Data goes straight from one slice of RAM to another.

A failed access raises :class:`UserAccessError`, which is EFAULT to the dispatcher; ``copied`` says
how many bytes were moved before the page that failed.

Entries of ours have Accessed set from the start (see ``pgtable``), so only Dirty is set here.

See: Linux lib/usercopy.c, lib/strncpy_from_user.c, arch/x86/include/asm/uaccess.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emulator.arch.exceptions import PageFaultError
from emulator.arch.paging import FRAME_MASK, PAGE_SIZE, PTE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.mm_types import TASK_SIZE_MAX, mm_struct
from guest_kernel.layout.page import PG_held_code, mm_data, page
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.fault import PageFaultFailed, fault_in_page, handle_user_fault

_P: Final = int(PTE.P)
_READ: Final = int(PTE.P | PTE.US)
_WRITE: Final = int(PTE.P | PTE.US | PTE.RW)
_A: Final = int(PTE.A)
_D: Final = int(PTE.D)
_OFFSET: Final = PAGE_SIZE - 1
_TASK_MM: Final = task_struct.offsetof("mm")
_MM_PGD: Final = mm_struct.offsetof("pgd")
_MEM_MAP: Final = mm_data.offsetof("mem_map") >> 3
_PAGE_WORDS: Final = page.size >> 3
_HELD_CODE: Final = 1 << PG_held_code


class UserAccessError(SyscallError):
    """EFAULT: user memory could not be read or written.

    Attributes:
        copied: bytes that were moved before.
    """

    def __init__(self, copied: int) -> None:
        super().__init__(Errno.EFAULT)
        self.copied = copied


# ------------------------------------------------------------------------------ translation

def _current_pgd(k: Kernel) -> int:
    """Return the index of the current task's PML4; 0 for a kernel thread."""
    u64 = k.u64
    task = u64[k.current_index] & PHYSICAL_MASK
    mm = u64[(task + _TASK_MM) >> 3] & PHYSICAL_MASK
    if not mm:
        return 0
    pgd: int = (u64[(mm + _MM_PGD) >> 3] & PHYSICAL_MASK) >> 3
    return pgd


def _walk(k: Kernel, pgd: int, va: int) -> int:
    """Return the physical address for a read of user address ``va``, or -1.

    Args:
        pgd: index of the PML4 in ``k.u64``; 0: there is none.
    """
    if not pgd or va >= TASK_SIZE_MAX:
        return -1
    u64 = k.u64
    entry = u64[pgd + (va >> 39)]
    if entry & _P:
        entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 30 & 511)]
        if entry & _P:
            entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 21 & 511)]
            if entry & _P:
                entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 12 & 511)]
                if entry & _READ == _READ:
                    return (entry & FRAME_MASK) + (va & _OFFSET)
    return -1


def _walk_write(k: Kernel, pgd: int, va: int) -> int:
    """Return the physical address for a write to user address ``va``, or -1.

    Sets Dirty.  If the frame has held code, the caller must say so: :func:`_note_code`.
    """
    if not pgd or va >= TASK_SIZE_MAX:
        return -1
    u64 = k.u64
    entry = u64[pgd + (va >> 39)]
    if entry & _P:
        entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 30 & 511)]
        if entry & _P:
            entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 21 & 511)]
            if entry & _WRITE == _WRITE:
                slot = ((entry & FRAME_MASK) >> 3) + (va >> 12 & 511)
                entry = u64[slot]
                if entry & _WRITE == _WRITE:
                    if not entry & _D:
                        u64[slot] = entry | _D
                    return (entry & FRAME_MASK) + (va & _OFFSET)
    return -1


def _fault(k: Kernel, va: int, write: bool) -> bool:
    """Take the fault that the CPU would take; tell whether the access is possible now."""
    if va >= TASK_SIZE_MAX:
        return False
    task = k.current()
    error_code = PageFaultError.U | PageFaultError.W if write else PageFaultError.U
    try:
        handle_user_fault(task, va, int(error_code))
    except PageFaultFailed:
        return False
    return True


def _readable(k: Kernel, va: int, copied: int) -> int:
    """Return the physical address of ``va`` for a read, after a fault if need be.

    Raises:
        UserAccessError: with ``copied``.
    """
    pa = _walk(k, _current_pgd(k), va)
    if pa < 0:
        if _fault(k, va, False):
            pa = _walk(k, _current_pgd(k), va)
        if pa < 0:
            raise UserAccessError(copied)
    return pa


def _writable(k: Kernel, va: int, copied: int) -> int:
    """Return the physical address of ``va`` for a write, after a fault if need be.

    Raises:
        UserAccessError: with ``copied``.
    """
    pa = _walk_write(k, _current_pgd(k), va)
    if pa < 0:
        if _fault(k, va, True):
            pa = _walk_write(k, _current_pgd(k), va)
        if pa < 0:
            raise UserAccessError(copied)
    return pa


def _note_code(k: Kernel, pa: int) -> None:
    """Let the CPU forget what it translated from the frame at ``pa``, if it may have."""
    u64 = k.u64
    mem_map = u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK
    if u64[(mem_map >> 3) + (pa >> 12) * _PAGE_WORDS] & _HELD_CODE:
        k.flush_code(pa & -PAGE_SIZE)


# --------------------------------------------------------------------------------- blocks

def copy_from_user(k: Kernel, va: int, n: int) -> bytes:
    """Return ``n`` bytes of the current task's memory.

    Raises:
        UserAccessError: EFAULT: not all of it can be read.
        OutOfFrames.
    """
    if (va & _OFFSET) + n <= PAGE_SIZE:
        pa = _walk(k, _current_pgd(k), va)
        if pa >= 0:
            return bytes(k.u8[pa : pa + n])
    u8 = k.u8
    pieces = []
    copied = 0
    while copied < n:
        pa = _readable(k, va, copied)
        part = min(n - copied, PAGE_SIZE - (va & _OFFSET))
        pieces.append(u8[pa : pa + part])
        copied += part
        va += part
    return b"".join(pieces)


def copy_to_user(k: Kernel, va: int, data: bytes | bytearray | memoryview) -> None:
    """Store ``data`` in the current task's memory, as far as it can be written.

    Raises:
        UserAccessError: EFAULT: not all of it can be written.
        OutOfFrames.
    """
    n = len(data)
    if (va & _OFFSET) + n <= PAGE_SIZE:
        pa = _walk_write(k, _current_pgd(k), va)
        if pa >= 0:
            k.u8[pa : pa + n] = data
            _note_code(k, pa)
            return
    u8 = k.u8
    view = memoryview(data)
    copied = 0
    while copied < n:
        pa = _writable(k, va, copied)
        part = min(n - copied, PAGE_SIZE - (va & _OFFSET))
        u8[pa : pa + part] = view[copied : copied + part]
        _note_code(k, pa)
        copied += part
        va += part


def clear_user(k: Kernel, va: int, n: int) -> None:
    """Fill ``n`` bytes of the current task's memory with zeros.

    Raises:
        UserAccessError, OutOfFrames: as :func:`copy_to_user`.
    """
    cleared = 0
    while cleared < n:
        part = min(n - cleared, PAGE_SIZE - (va & _OFFSET))
        try:
            copy_to_user(k, va, bytes(part))
        except UserAccessError:
            raise UserAccessError(cleared) from None
        cleared += part
        va += part


def strncpy_from_user(k: Kernel, va: int, limit: int) -> bytes:
    """Return the string at ``va`` without its NUL: at most ``limit`` bytes.

    A result of ``limit`` bytes means that there was no NUL among them.

    Raises:
        UserAccessError: EFAULT: the string leaves what can be read before its NUL.
        OutOfFrames.
    """
    u8 = k.u8
    pieces = []
    copied = 0
    while copied < limit:
        pa = _readable(k, va, copied)
        part = min(limit - copied, PAGE_SIZE - (va & _OFFSET))
        piece = bytes(u8[pa : pa + part])
        end = piece.find(b"\0")
        if end >= 0:
            pieces.append(piece[:end])
            break
        pieces.append(piece)
        copied += part
        va += part
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def strnlen_user(k: Kernel, va: int, limit: int) -> int:
    """Return the length of the string at ``va`` without its NUL, or ``limit`` if it is longer.

    Raises:
        UserAccessError, OutOfFrames: as :func:`strncpy_from_user`.
    """
    return len(strncpy_from_user(k, va, limit))


# --------------------------------------------------------------------------------- scalars

def get_user_u8(k: Kernel, va: int) -> int:
    """Return the byte at ``va``.

    Raises:
        UserAccessError: EFAULT.
    """
    value: int = k.u8[_readable(k, va, 0)]
    return value


def get_user_u16(k: Kernel, va: int) -> int:
    """Return the 16 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    if va & 1:
        return int.from_bytes(copy_from_user(k, va, 2), "little")
    value: int = k.u16[_readable(k, va, 0) >> 1]
    return value


def get_user_u32(k: Kernel, va: int) -> int:
    """Return the 32 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    if va & 3:
        return int.from_bytes(copy_from_user(k, va, 4), "little")
    value: int = k.u32[_readable(k, va, 0) >> 2]
    return value


def get_user_u64(k: Kernel, va: int) -> int:
    """Return the 64 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    if va & 7:
        return int.from_bytes(copy_from_user(k, va, 8), "little")
    value: int = k.u64[_readable(k, va, 0) >> 3]
    return value


def user_words(k: Kernel, va: int) -> Iterator[int]:
    """Yield the 64-bit words from ``va`` on, which need not be aligned, one after the other.

    Raises:
        UserAccessError: EFAULT: the next one cannot be read.
    """
    while True:
        if va & 7:
            yield get_user_u64(k, va)
            va += 8
        else:
            first = _readable(k, va, 0)
            yield from k.u64[first >> 3 : (first | _OFFSET) + 1 >> 3]
            va = (va | _OFFSET) + 1


def put_user_u8(k: Kernel, va: int, value: int) -> None:
    """Store a byte at ``va``.

    Raises:
        UserAccessError: EFAULT.
    """
    copy_to_user(k, va, bytes((value & 0xFF,)))


def put_user_u16(k: Kernel, va: int, value: int) -> None:
    """Store 16 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    copy_to_user(k, va, (value & 0xFFFF).to_bytes(2, "little"))


def put_user_u32(k: Kernel, va: int, value: int) -> None:
    """Store 32 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    value &= 0xFFFF_FFFF
    if va & 3:
        copy_to_user(k, va, value.to_bytes(4, "little"))
        return
    pa = _writable(k, va, 0)
    k.u32[pa >> 2] = value
    _note_code(k, pa)


def put_user_u64(k: Kernel, va: int, value: int) -> None:
    """Store 64 bits at ``va``, which need not be aligned.

    Raises:
        UserAccessError: EFAULT.
    """
    value &= 0xFFFF_FFFF_FFFF_FFFF
    if va & 7:
        copy_to_user(k, va, value.to_bytes(8, "little"))
        return
    pa = _writable(k, va, 0)
    k.u64[pa >> 3] = value
    _note_code(k, pa)


# ------------------------------------------------------------------- other address spaces

def read_mm(mm: mm_struct, va: int, n: int) -> bytes:
    """Return ``n`` bytes of any address space, faulting them in.  Linux: access_remote_vm().

    Raises:
        UserAccessError: EFAULT: not all of it can be read.
        OutOfFrames.
    """
    k: Kernel = mm.k
    pgd = (mm.pgd & PHYSICAL_MASK) >> 3
    pieces = []
    copied = 0
    while copied < n:
        part = min(n - copied, PAGE_SIZE - (va & _OFFSET))
        pa = _walk(k, pgd, va)
        if pa < 0:
            _fault_in(mm, va, False, copied)
            pa = _walk(k, pgd, va)
        pieces.append(bytes(k.u8[pa : pa + part]))
        copied += part
        va += part
    return b"".join(pieces)


def write_mm(mm: mm_struct, va: int, data: bytes | bytearray | memoryview) -> None:
    """Store ``data`` in any address space, faulting pages in: exec fills a new stack so.

    Raises:
        UserAccessError: EFAULT: not all of it can be written.
        OutOfFrames.
    """
    k: Kernel = mm.k
    pgd = (mm.pgd & PHYSICAL_MASK) >> 3
    view = memoryview(data)
    copied = 0
    while copied < len(data):
        part = min(len(data) - copied, PAGE_SIZE - (va & _OFFSET))
        pa = _walk_write(k, pgd, va)
        if pa < 0:
            _fault_in(mm, va, True, copied)
            pa = _walk_write(k, pgd, va)
        k.u8[pa : pa + part] = view[copied : copied + part]
        _note_code(k, pa)
        copied += part
        va += part


def _fault_in(mm: mm_struct, va: int, write: bool, copied: int) -> None:
    try:
        fault_in_page(mm, va, write)
    except PageFaultFailed:
        raise UserAccessError(copied) from None
