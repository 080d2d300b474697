"""mremap(2): make a mapping larger or smaller, or move it.

See: Linux mm/mremap.c.
"""

from __future__ import annotations

from array import array
from typing import Final

from emulator.arch.paging import FRAME_MASK, PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.mm_types import (
    TASK_SIZE,
    VM_ACCOUNT,
    VM_DONTEXPAND,
    VM_LOCKED,
    VM_LOCKED_MASK,
    VM_MAYSHARE,
    VM_PFNMAP,
    VM_SHARED,
    mm_struct,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.memory import mm_populate, unshare_edges
from guest_kernel.mm.mmap import (
    MAP_FIXED,
    current_mm,
    do_munmap,
    get_unmapped_area,
    mlock_future_ok,
    unmap_vmas,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.pgtable import (
    PMD_MASK,
    PMD_SIZE,
    RW,
    P,
    flush_tlb_range,
    page_tables,
    pte_alloc,
    unshare_table,
)
from guest_kernel.mm.vma import (
    copy_vma,
    find_vma_intersection,
    may_expand_vm,
    page_align,
    unlink_anon_vmas,
    vm_acct_memory,
    vm_enough_memory,
    vm_stat_account,
    vma_lookup,
    vma_merge_extend,
    vma_set_flags,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong

MREMAP_MAYMOVE: Final = 1
MREMAP_FIXED: Final = 2
MREMAP_DONTUNMAP: Final = 4

_GIVEN_PLACE: Final = MREMAP_FIXED | MREMAP_DONTUNMAP


class vma_remap_struct:
    """One call.  Linux's struct of that name."""

    __slots__ = ("flags", "mm", "new_len", "new_va", "old_len", "populate", "va")

    def __init__(self, mm: mm_struct, va: int, old_len: int, new_len: int, flags: int,
                 new_va: int) -> None:
        self.mm = mm
        self.va = va
        self.old_len = old_len
        self.new_len = new_len
        self.flags = flags
        self.new_va = new_va
        self.populate = False  # the part by which it grows is VM_LOCKED

    @property
    def delta(self) -> int:
        """By how much the size changes."""
        return abs(self.new_len - self.old_len)


def do_mremap(mm: mm_struct, va: int, old_len: int, new_len: int, flags: int, new_va: int) -> int:
    """Resize or move a mapping; return where it is.

    Raises:
        SyscallError: as in mremap(2).
        OutOfFrames: nothing has been moved.
    """
    vrm = vma_remap_struct(mm, va, page_align(old_len), page_align(new_len), flags, new_va)
    _check_params(vrm)
    if flags & MREMAP_FIXED and vrm.old_len == vrm.new_len:
        return _remap_move(vrm)
    vma = vma_lookup(mm, va)
    _check_vma(vrm, vma)
    assert vma is not None
    if flags & _GIVEN_PLACE:
        result = _mremap_to(vrm)
    elif vrm.new_len == vrm.old_len:
        result = va
    elif vrm.new_len < vrm.old_len:
        do_munmap(mm, va + vrm.new_len, vrm.delta)
        result = va
    else:
        result = _expand_vma(vrm, vma)
    if vrm.populate:
        mm_populate(mm, result + vrm.old_len, result + vrm.new_len)
    return result


def _check_params(vrm: vma_remap_struct) -> None:
    flags = vrm.flags
    if flags & ~(MREMAP_MAYMOVE | _GIVEN_PLACE) or vrm.va & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    if not vrm.new_len or vrm.new_len > TASK_SIZE:
        raise SyscallError(Errno.EINVAL)
    if not flags & _GIVEN_PLACE:
        return
    if (
        vrm.new_va > TASK_SIZE - vrm.new_len
        or vrm.new_va & PAGE_SIZE - 1
        or not flags & MREMAP_MAYMOVE
        or (flags & MREMAP_DONTUNMAP and vrm.old_len != vrm.new_len)
        or (vrm.va + vrm.old_len > vrm.new_va and vrm.new_va + vrm.new_len > vrm.va)
    ):
        raise SyscallError(Errno.EINVAL)
    # A move needs up to four VMAs more, and after a failure the caller could not
    # know what is left.
    if vrm.mm.map_count + 2 >= _max_map_count(vrm.mm) - 3:
        raise SyscallError(Errno.ENOMEM)


def _max_map_count(mm: mm_struct) -> int:
    return int(mm.k.data(vm_data).sysctl_max_map_count)


def _check_vma(vrm: vma_remap_struct, vma: vm_area_struct | None) -> None:
    """Check that the VMA can be moved or resized so.

    Raises:
        SyscallError: EFAULT: not mapped, or by more than one VMA; EINVAL, EAGAIN, ENOMEM.
    """
    if vma is None:
        raise SyscallError(Errno.EFAULT)
    old_len, new_len = vrm.old_len, vrm.new_len
    if new_len <= old_len and not vrm.flags & _GIVEN_PLACE:
        return
    flags = vma.vm_flags
    # A size of 0 makes a second mapping of the same pages.
    if not old_len and not flags & (VM_SHARED | VM_MAYSHARE):
        raise SyscallError(Errno.EINVAL)
    if vrm.flags & MREMAP_DONTUNMAP and flags & (VM_DONTEXPAND | VM_PFNMAP):
        raise SyscallError(Errno.EINVAL)
    if min(old_len, new_len) > vma.vm_end - vrm.va:
        raise SyscallError(Errno.EFAULT)
    if new_len < old_len:
        old_len = new_len
    if new_len == old_len:
        return
    vrm.populate = bool(flags & VM_LOCKED)
    pgoff = vma.vm_pgoff + (vrm.va - vma.vm_start >> PAGE_SHIFT)
    if pgoff + (new_len >> PAGE_SHIFT) >= 1 << 64:
        raise SyscallError(Errno.EINVAL)
    if flags & (VM_DONTEXPAND | VM_PFNMAP):
        raise SyscallError(Errno.EFAULT)
    if not mlock_future_ok(vrm.mm, flags, vrm.delta):
        raise SyscallError(Errno.EAGAIN)
    if not may_expand_vm(vrm.mm, flags, vrm.delta >> PAGE_SHIFT):
        raise SyscallError(Errno.ENOMEM)


def _remap_move(vrm: vma_remap_struct) -> int:
    """Move all that is mapped in a range, with the gaps between, to a given place.

    Raises:
        SyscallError: EFAULT: the range does not begin in a VMA.
    """
    mm = vrm.mm
    start, end = vrm.va, vrm.va + vrm.old_len
    target, result, last_end = vrm.new_va, 0, 0
    seen = False
    vma = find_vma_intersection(mm, start, end)
    while vma is not None:
        va = max(vma.vm_start, start)
        if not seen and start < vma.vm_start:
            break
        gap = vma.vm_start - last_end if seen else 0
        last_end = vma.vm_end
        size = min(end, last_end) - va
        one = vma_remap_struct(mm, va, size, size, vrm.flags, target + gap)
        _check_vma(one, vma)
        moved = _mremap_to(one)
        if not seen:
            result, seen = moved, True
        target = moved + size
        if last_end >= end:
            return result
        vma = find_vma_intersection(mm, last_end, end)
        if vma is None:
            return result
    raise SyscallError(Errno.EFAULT)


def _mremap_to(vrm: vma_remap_struct) -> int:
    """Move to a place that was given, replacing what is mapped there."""
    mm = vrm.mm
    if vrm.flags & MREMAP_FIXED:
        do_munmap(mm, vrm.new_va, vrm.new_len)
    if vrm.new_len < vrm.old_len:
        do_munmap(mm, vrm.va + vrm.new_len, vrm.delta)
        vrm.old_len = vrm.new_len
    vma = vma_lookup(mm, vrm.va)
    if vma is None:
        raise SyscallError(Errno.EFAULT)
    if vrm.flags & MREMAP_DONTUNMAP and not may_expand_vm(
            mm, vma.vm_flags, vrm.old_len >> PAGE_SHIFT):
        raise SyscallError(Errno.ENOMEM)
    fixed = MAP_FIXED if vrm.flags & MREMAP_FIXED else 0
    vrm.new_va = get_unmapped_area(mm, vrm.new_va, vrm.new_len, fixed)
    return _move_vma(vrm, vma)


def _expand_vma(vrm: vma_remap_struct, vma: vm_area_struct) -> int:
    """Grow in place if that is possible, else move if that is allowed."""
    mm = vrm.mm
    if vma.vm_end - vrm.va == vrm.old_len and _vma_expandable(vma, vrm.delta):
        pages = vrm.delta >> PAGE_SHIFT
        flags = vma.vm_flags
        if flags & VM_ACCOUNT:
            vm_enough_memory(mm.k, pages)
        vma_merge_extend(vma, vrm.delta)
        vm_stat_account(mm, flags, pages)
        if flags & VM_LOCKED:
            mm.locked_vm += pages
        return vrm.va
    if not vrm.flags & MREMAP_MAYMOVE:
        raise SyscallError(Errno.ENOMEM)
    vrm.new_va = get_unmapped_area(mm, 0, vrm.new_len, 0)
    return _move_vma(vrm, vma)


def _vma_expandable(vma: vm_area_struct, delta: int) -> bool:
    mm = vma.vm_mm
    assert mm is not None
    end = vma.vm_end + delta
    return end <= TASK_SIZE and find_vma_intersection(mm, vma.vm_end, end) is None


def _move_vma(vrm: vma_remap_struct, vma: vm_area_struct) -> int:
    """Make a copy of the VMA, move the pages there, and unmap the old range."""
    mm = vrm.mm
    k: Kernel = mm.k
    va, old_len, new_len = vrm.va, vrm.old_len, vrm.new_len
    if mm.map_count >= _max_map_count(mm) - 3:
        raise SyscallError(Errno.ENOMEM)
    # Before the copy: what fails later would leave a VMA without its pages.
    unshare_edges(mm, va, va + old_len)
    flags = vma.vm_flags
    dont_unmap = bool(vrm.flags & MREMAP_DONTUNMAP)
    charged = new_len if dont_unmap else vrm.delta
    if flags & VM_ACCOUNT:
        vm_enough_memory(k, charged >> PAGE_SHIFT)
    pgoff = vma.vm_pgoff + (va - vma.vm_start >> PAGE_SHIFT)
    try:
        new, vma = copy_vma(vma, vrm.new_va, new_len, pgoff)
    except OutOfFrames:
        if flags & VM_ACCOUNT:
            vm_acct_memory(k, -(charged >> PAGE_SHIFT))
        raise
    vm_stat_account(mm, flags, new_len >> PAGE_SHIFT)
    if flags & VM_LOCKED:
        mm.locked_vm += new_len >> PAGE_SHIFT
    try:
        move_page_tables(mm, va, vrm.new_va, old_len)
    except OutOfFrames:
        move_page_tables(mm, vrm.new_va, va, old_len)
        _unmap_moved(vrm, new, vrm.new_va, new_len)
        raise
    if dont_unmap:
        vma_set_flags(vma, vma.vm_flags & ~VM_LOCKED_MASK)
        if flags & VM_LOCKED:
            mm.locked_vm -= old_len >> PAGE_SHIFT
        if new != vma and (vma.vm_start, vma.vm_end) == (va, va + old_len):
            unlink_anon_vmas(vma)
    elif old_len:
        unmap_vmas(mm, va, va + old_len)
        if flags & VM_ACCOUNT:
            vm_acct_memory(k, old_len >> PAGE_SHIFT)  # only the delta was charged
    return vrm.new_va


def _unmap_moved(vrm: vma_remap_struct, new: vm_area_struct, va: int, size: int) -> None:
    """Undo a move whose pages are back in their place."""
    unmap_vmas(vrm.mm, va, va + size)
    if new.vm_flags & VM_ACCOUNT:
        vm_acct_memory(vrm.mm.k, vrm.old_len >> PAGE_SHIFT)


def move_page_tables(mm: mm_struct, old: int, new: int, size: int) -> None:
    """Move the entries of ``[old, old + size)`` to ``new``; frames stay where they are.

    Raises:
        OutOfFrames: a part has been moved; moving all back succeeds.
    """
    k: Kernel = mm.k
    u64 = k.u64
    moved = 0
    for slot, va, last in page_tables(k, mm.pgd & PHYSICAL_MASK, old, old + size):
        if not u64[slot] & RW:
            unshare_table(k, slot)
        table = (u64[slot] & FRAME_MASK) >> 3
        while va < last:
            target = va - old + new
            # As far as one table goes on the other side.
            part = min(last - va, (target & PMD_MASK) + PMD_SIZE - target) >> PAGE_SHIFT
            first = table + (va >> PAGE_SHIFT & 511)
            entries = u64[first : first + part].tolist()
            found = sum(1 for pte in entries if pte)
            if found:
                to = pte_alloc(k, mm.pa, target) >> 3
                u64[to : to + part] = memoryview(array("Q", entries))
                u64[first : first + part] = memoryview(array("Q", bytes(part * 8)))
                moved += sum(1 for pte in entries if pte & P)
            va += part << PAGE_SHIFT
    if moved:
        flush_tlb_range(k, mm, old, old + size)


# --------------------------------------------------------------------------- System calls

@SYSCALL_DEFINE
def sys_mremap(current: task_struct, addr: ULong, old_len: ULong, new_len: ULong, flags: ULong,
               new_addr: ULong) -> int:
    """Resize or move a mapping.  See mremap(2)."""
    try:
        return do_mremap(current_mm(current), addr, old_len, new_len, flags, new_addr)
    except OutOfFrames:
        raise SyscallError(Errno.ENOMEM) from None
