"""madvise(2): what a program says of the use it will make of a range.

Nothing is reclaimed or read ahead here, so advice about that is checked and then has nothing to do:
MADV_WILLNEED, MADV_FREE (which only allows to drop the contents), MADV_COLD, MADV_PAGEOUT.
Advice about huge pages and page merging is EINVAL, as from a Linux built without them.

See: Linux mm/madvise.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import (
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_IO,
    VM_LOCKED,
    VM_MAYWRITE,
    VM_OPS_SHMEM,
    VM_PFNMAP,
    VM_RAND_READ,
    VM_READ,
    VM_SEQ_READ,
    VM_SHARED,
    VM_SPECIAL,
    VM_WIPEONFORK,
    VM_WRITE,
    mm_struct,
    shmem,
    vm_area_struct,
)
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.fault import PageFaultFailed
from guest_kernel.mm.memory import fault_in, zap_page_range
from guest_kernel.mm.mmap import current_mm
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.shmem import shmem_punch_hole
from guest_kernel.mm.vma import (
    find_vma,
    page_align,
    vma_is_anonymous,
    vma_modify_flags,
    vma_set_flags,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong

MADV_NORMAL: Final = 0
MADV_RANDOM: Final = 1
MADV_SEQUENTIAL: Final = 2
MADV_WILLNEED: Final = 3
MADV_DONTNEED: Final = 4
MADV_FREE: Final = 8
MADV_REMOVE: Final = 9
MADV_DONTFORK: Final = 10
MADV_DOFORK: Final = 11
MADV_DONTDUMP: Final = 16
MADV_DODUMP: Final = 17
MADV_WIPEONFORK: Final = 18
MADV_KEEPONFORK: Final = 19
MADV_COLD: Final = 20
MADV_PAGEOUT: Final = 21
MADV_POPULATE_READ: Final = 22
MADV_POPULATE_WRITE: Final = 23
MADV_DONTNEED_LOCKED: Final = 24

# Advice that is remembered in vm_flags: what it clears, what it sets.
_FLAG_CHANGES: Final = {
    MADV_NORMAL: (VM_RAND_READ | VM_SEQ_READ, 0),
    MADV_RANDOM: (VM_SEQ_READ, VM_RAND_READ),
    MADV_SEQUENTIAL: (VM_RAND_READ, VM_SEQ_READ),
    MADV_DONTFORK: (0, VM_DONTCOPY),
    MADV_DOFORK: (VM_DONTCOPY, 0),
    MADV_DONTDUMP: (0, VM_DONTDUMP),
    MADV_DODUMP: (VM_DONTDUMP, 0),
    MADV_WIPEONFORK: (0, VM_WIPEONFORK),
    MADV_KEEPONFORK: (VM_WIPEONFORK, 0),
}

# Handles one VMA's part of the range; returns where to go on.
_Visit = Callable[[vm_area_struct, int, int], int]


def do_madvise(mm: mm_struct, start: int, size: int, advice: int) -> None:
    """Take advice about ``[start, start + size)``.

    What is mapped of the range is treated even if a part is not; then the answer is ENOMEM.

    Raises:
        SyscallError: EINVAL: unknown advice, not aligned, or not for such a mapping; ENOMEM: a
            part is not mapped, or a limit; EACCES, EFAULT, EBADF, EOPNOTSUPP: see madvise(2).
        OutOfFrames.
    """
    visit = _VISITS.get(advice)
    if visit is None or start & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    aligned = page_align(size)
    end = start + aligned
    if (size and not aligned) or end >= 1 << 64:
        raise SyscallError(Errno.EINVAL)
    if end == start:
        return
    if advice in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
        _populate(mm, start, end, advice == MADV_POPULATE_WRITE)
        return
    hole = False
    while start < end:
        vma = find_vma(mm, start)
        if vma is None:
            hole = True
            break
        if start < vma.vm_start:
            hole = True
            start = vma.vm_start
            if start >= end:
                break
        start = visit(vma, start, min(end, vma.vm_end))
    if hole:
        raise SyscallError(Errno.ENOMEM)


def _change_flags(advice: int) -> _Visit:
    clear, add = _FLAG_CHANGES[advice]

    def visit(vma: vm_area_struct, start: int, end: int) -> int:
        old = vma.vm_flags
        if (
            (advice == MADV_DOFORK and old & VM_IO)
            or (advice == MADV_DODUMP and old & VM_SPECIAL)
            or (advice == MADV_WIPEONFORK and (vma.vm_file is not None or old & VM_SHARED))
        ):
            raise SyscallError(Errno.EINVAL)
        new = old & ~clear | add
        if new == old:
            return end
        vma = vma_modify_flags(vma, start, end, new)
        vma_set_flags(vma, new)
        return max(end, vma.vm_end)

    return visit


def _dontneed(vma: vm_area_struct, start: int, end: int) -> int:
    if vma.vm_flags & (VM_LOCKED | VM_PFNMAP):
        raise SyscallError(Errno.EINVAL)
    return _dontneed_locked(vma, start, end)


def _dontneed_locked(vma: vm_area_struct, start: int, end: int) -> int:
    if vma.vm_flags & VM_PFNMAP:
        raise SyscallError(Errno.EINVAL)
    mm = vma.vm_mm
    assert mm is not None
    zap_page_range(mm, start, end)
    return end


def _free(vma: vm_area_struct, start: int, end: int) -> int:
    if vma.vm_flags & (VM_LOCKED | VM_PFNMAP) or not vma_is_anonymous(vma):
        raise SyscallError(Errno.EINVAL)
    return end


def _cold(vma: vm_area_struct, start: int, end: int) -> int:
    if vma.vm_flags & (VM_LOCKED | VM_PFNMAP):
        raise SyscallError(Errno.EINVAL)
    return end


def _willneed(vma: vm_area_struct, start: int, end: int) -> int:
    return end


def _remove(vma: vm_area_struct, start: int, end: int) -> int:
    if vma.vm_flags & VM_LOCKED or (vma.vm_file is None and vma.vm_ops != VM_OPS_SHMEM):
        raise SyscallError(Errno.EINVAL)
    if vma.vm_flags & (VM_SHARED | VM_MAYWRITE) != VM_SHARED | VM_MAYWRITE:
        raise SyscallError(Errno.EACCES)
    if vma.vm_ops != VM_OPS_SHMEM:
        raise SyscallError(Errno.EOPNOTSUPP)
    mm = vma.vm_mm
    assert mm is not None
    zap_page_range(mm, start, end)
    first = vma.vm_pgoff + (start - vma.vm_start >> PAGE_SHIFT)
    memory = shmem.at(vma.k, vma.vm_private_data)
    shmem_punch_hole(memory, first, first + (end - start >> PAGE_SHIFT))
    return end


_VISITS: Final[dict[int, _Visit]] = {
    **{advice: _change_flags(advice) for advice in _FLAG_CHANGES},
    MADV_WILLNEED: _willneed,
    MADV_DONTNEED: _dontneed,
    MADV_DONTNEED_LOCKED: _dontneed_locked,
    MADV_FREE: _free,
    MADV_COLD: _cold,
    MADV_PAGEOUT: _cold,
    MADV_REMOVE: _remove,
    MADV_POPULATE_READ: _willneed,
    MADV_POPULATE_WRITE: _willneed,
}


def _populate(mm: mm_struct, start: int, end: int, write: bool) -> None:
    """Fault in all of a range, or say why not."""
    while start < end:
        vma = find_vma(mm, start)
        if vma is None or vma.vm_start > start:
            raise SyscallError(Errno.ENOMEM)
        right = VM_WRITE if write else VM_READ
        if vma.vm_flags & (VM_IO | VM_PFNMAP) or not vma.vm_flags & right:
            raise SyscallError(Errno.EINVAL)
        last = min(end, vma.vm_end)
        for va in range(start, last, PAGE_SIZE):
            try:
                fault_in(mm, va, write)
            except PageFaultFailed:
                raise SyscallError(Errno.EFAULT) from None
        start = last


# --------------------------------------------------------------------------- System calls

@SYSCALL_DEFINE
def sys_madvise(current: task_struct, start: ULong, length: ULong, advice: Int) -> int:
    """Give advice about the use of memory.  See madvise(2).

    Limits: no huge pages, page merging, guard pages or memory failure: such advice is EINVAL.
    MADV_REMOVE only of shared anonymous memory, else EOPNOTSUPP.
    """
    try:
        do_madvise(current_mm(current), start, length, advice)
    except OutOfFrames:
        raise SyscallError(Errno.ENOMEM) from None
    return 0
