"""mprotect(2): other rights for a range.

See: Linux mm/mprotect.c.
"""

from __future__ import annotations

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.mm_types import (
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_NORESERVE,
    VM_SHARED,
    VM_WRITE,
    mm_struct,
    vm_area_struct,
)
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.memory import change_protection, mm_populate
from guest_kernel.mm.mmap import (
    PROT_EXEC,
    PROT_GROWSDOWN,
    PROT_GROWSUP,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
    calc_vm_prot_bits,
    current_mm,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.vma import (
    find_vma_intersection,
    may_expand_vm,
    page_align,
    vm_acct_memory,
    vm_enough_memory,
    vm_stat_account,
    vma_is_anonymous,
    vma_modify_flags,
    vma_set_flags,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong


def do_mprotect(mm: mm_struct, start: int, size: int, prot: int) -> None:
    """Give ``[start, start + size)`` the rights ``prot``, VMA by VMA up to the first that fails.

    Raises:
        SyscallError: EINVAL: not aligned, unknown bits, PROT_GROWS* where nothing grows; ENOMEM: a
            part is not mapped, or a limit; EACCES: the file was not opened for that.
        OutOfFrames.
    """
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    prot &= ~grows
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or start & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    if not size:
        return
    size = page_align(size)
    end = start + size & 0xFFFF_FFFF_FFFF_FFFF
    if end <= start:
        raise SyscallError(Errno.ENOMEM)
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM):
        raise SyscallError(Errno.EINVAL)
    vma = find_vma_intersection(mm, start, end)
    if vma is None:
        raise SyscallError(Errno.ENOMEM)
    if grows & PROT_GROWSDOWN:
        start = vma.vm_start
        if not vma.vm_flags & VM_GROWSDOWN:
            raise SyscallError(Errno.EINVAL)
    elif vma.vm_start > start:
        raise SyscallError(Errno.ENOMEM)
    elif grows & PROT_GROWSUP:
        raise SyscallError(Errno.EINVAL)  # nothing grows up on x86

    while start < end:
        if vma is None or vma.vm_start > start:
            raise SyscallError(Errno.ENOMEM)
        old_flags = vma.vm_flags
        new_flags = calc_vm_prot_bits(prot) | old_flags & ~VM_ACCESS_FLAGS
        if new_flags & ~(new_flags >> 4) & VM_ACCESS_FLAGS:  # a right without its VM_MAY*
            raise SyscallError(Errno.EACCES)
        last = min(vma.vm_end, end)
        vma = mprotect_fixup(vma, start, last, new_flags)
        start = last
        if vma.vm_end <= start:
            vma = vma.vm_next


def mprotect_fixup(vma: vm_area_struct, start: int, end: int, new_flags: int) -> vm_area_struct:
    """Give ``[start, end)`` of ``vma`` the flags ``new_flags``; return the VMA that it is in now.

    Raises:
        SyscallError: ENOMEM: RLIMIT_DATA, too much is promised, or too many VMAs.
        OutOfFrames.
    """
    k: Kernel = vma.k
    mm = vma.vm_mm
    assert mm is not None
    old_flags = vma.vm_flags
    if new_flags == old_flags:
        return vma
    nr_pages = end - start >> 12
    charged = 0
    if new_flags & VM_WRITE:
        if not may_expand_vm(mm, new_flags, nr_pages) and may_expand_vm(mm, old_flags, nr_pages):
            raise SyscallError(Errno.ENOMEM)
        if not old_flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE):
            vm_enough_memory(k, nr_pages)
            charged = nr_pages
            new_flags |= VM_ACCOUNT
    elif old_flags & VM_ACCOUNT and vma_is_anonymous(vma) and not vma.anon_vma:
        new_flags &= ~VM_ACCOUNT  # nothing was written, nothing will be

    try:
        vma = vma_modify_flags(vma, start, end, new_flags)
    except (SyscallError, OutOfFrames):
        vm_acct_memory(k, -charged)
        raise
    vma_set_flags(vma, new_flags)
    change_protection(vma, start, end)
    if old_flags & ~new_flags & VM_ACCOUNT:
        vm_acct_memory(k, -nr_pages)
    vm_stat_account(mm, old_flags, -nr_pages)
    vm_stat_account(mm, new_flags, nr_pages)
    if new_flags & (VM_LOCKED | VM_WRITE | VM_SHARED) == VM_LOCKED | VM_WRITE:
        mm_populate(mm, start, end)
    return vma


# --------------------------------------------------------------------------- System calls

@SYSCALL_DEFINE
def sys_mprotect(current: task_struct, start: ULong, length: ULong, prot: ULong) -> int:
    """Change the rights of mappings.  See mprotect(2)."""
    try:
        do_mprotect(current_mm(current), start, length, prot)
    except OutOfFrames:
        raise SyscallError(Errno.ENOMEM) from None
    return 0
