"""The memory of a traced task, read without the task or the guest noticing.

Nothing is faulted in, no table is changed and no Accessed bit set.  Where the page tables have
nothing yet, the bytes are taken from where a fault would get them: zeros, the page cache, shared
memory.  That is what process_vm_readv(2) shows strace, which has such pages faulted in.

See: Linux mm/gup.c check_vma_flags(); guest_kernel/mm/memory.py.
"""

from __future__ import annotations

from typing import Final

from emulator.arch.exceptions import CpuException
from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from emulator.cpu.mmu import Access, translate
from guest_kernel.layout.declare import PHYSICAL_MASK, container_of
from guest_kernel.layout.fs import address_space
from guest_kernel.layout.mm_types import (
    TASK_SIZE_MAX,
    VM_IO,
    VM_OPS_FILE,
    VM_OPS_NONE,
    VM_OPS_SHMEM,
    VM_PFNMAP,
    VM_READ,
    mm_struct,
    shmem,
    vm_area_struct,
)
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.filemap import filemap_get_entry

_ZERO_PAGE: Final = 0  # of _page(): no frame; the page reads as zeros
_NO_PAGE: Final = -1


class UserMemory:
    """The memory of ``task``; see :class:`ringlet.strace.call.Memory`."""

    __slots__ = ("_task",)

    def __init__(self, task: task_struct) -> None:
        self._task = task

    def read(self, va: int, size: int) -> bytes | None:
        """Return ``size`` bytes from ``va`` on; None if they cannot all be read."""
        pieces = []
        while size > 0:
            part = min(size, PAGE_SIZE - va % PAGE_SIZE)
            piece = self._piece(va, part)
            if piece is None:
                return None
            pieces.append(piece)
            va += part
            size -= part
        return b"".join(pieces)

    def string(self, va: int, limit: int) -> tuple[bytes, bool] | None:
        """Return at most ``limit`` bytes up to a NUL, and whether there was one."""
        pieces = []
        while limit > 0:
            part = min(limit, PAGE_SIZE - va % PAGE_SIZE)
            piece = self._piece(va, part)
            if piece is None:
                return None
            text, end, _ = piece.partition(b"\0")
            pieces.append(text)
            if end:
                return b"".join(pieces), True
            va += part
            limit -= part
        return b"".join(pieces), False

    def _piece(self, va: int, size: int) -> bytes | None:
        """Return bytes of one page."""
        page = _page(self._task.mm, va)
        if page == _NO_PAGE:
            return None
        if page == _ZERO_PAGE:
            return bytes(size)
        at = page + va % PAGE_SIZE
        return bytes(self._task.k.u8[at : at + size])


def _page(mm: mm_struct | None, va: int) -> int:
    """Return the physical address of the page of ``va``, ``_ZERO_PAGE`` or ``_NO_PAGE``."""
    if mm is None or not 0 <= va < TASK_SIZE_MAX:
        return _NO_PAGE
    vma = _find_vma(mm, va)
    if vma is None or not vma.vm_flags & VM_READ or vma.vm_flags & (VM_IO | VM_PFNMAP):
        return _NO_PAGE
    page = va - va % PAGE_SIZE
    try:
        return translate(mm.k.ram, mm.pgd & PHYSICAL_MASK, page, Access.READ, user=True,
                         set_ad=False)
    except CpuException:
        return _source(vma, page)


def _source(vma: vm_area_struct, page: int) -> int:
    """Return the same for a page that has not been faulted in."""
    offset = page - vma.vm_start >> PAGE_SHIFT
    index = vma.vm_pgoff + offset
    if vma.vm_ops == VM_OPS_NONE:
        return _ZERO_PAGE
    if vma.vm_ops == VM_OPS_FILE:
        file = vma.vm_file
        host = file.f_inode if file is not None else None
        mapping = host.i_mapping if host is not None else None
        if mapping is None or host is None or index << PAGE_SHIFT >= host.i_size:
            return _NO_PAGE
        return _cached(mapping, index)
    if vma.vm_ops == VM_OPS_SHMEM:
        memory = shmem(vma.k, vma.vm_private_data & PHYSICAL_MASK)
        return _cached(memory.i_data, index) if index < memory.nr_pages else _NO_PAGE
    return (vma.vm_private_data & PHYSICAL_MASK) + (offset << PAGE_SHIFT)


def _cached(mapping: address_space, index: int) -> int:
    return filemap_get_entry(mapping, index) or _ZERO_PAGE


def _find_vma(mm: mm_struct, va: int) -> vm_area_struct | None:
    """Return the VMA that covers ``va``.

    ``mm.vma.find_vma_pa`` would remember what it found, in the guest's memory.
    """
    node = mm.mm_rb.rb_node
    while node is not None:
        vma = container_of(node, vm_area_struct, "vm_rb")
        if vma.vm_end <= va:
            node = node.rb_right
        elif vma.vm_start <= va:
            return vma
        else:
            node = node.rb_left
    return None
