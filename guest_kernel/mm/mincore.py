"""mincore(2): which pages of a range are in memory.

See: Linux mm/mincore.c.
"""

from __future__ import annotations

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.mm_types import TASK_SIZE_MAX, VM_OPS_SHMEM, mm_struct, shmem
from guest_kernel.layout.mm_types import vm_area_struct as vm_area
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.filemap import filemap_get_entry
from guest_kernel.mm.mmap import current_mm
from guest_kernel.mm.pgtable import pte_lookup
from guest_kernel.mm.shmem import shmem_is_resident
from guest_kernel.mm.uaccess import copy_to_user
from guest_kernel.mm.vma import vma_lookup
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong, UserPtr

_PAGES_AT_ONCE = PAGE_SIZE  # Linux fills one page of answers at a time


def do_mincore(mm: mm_struct, start: int, nr_pages: int) -> bytes:
    """Return a byte for each page, 1 if it is in memory, up to the first that is not mapped."""
    k: Kernel = mm.k
    answers = bytearray()
    va, end = start, start + (nr_pages << PAGE_SHIFT)
    while va < end:
        vma = vma_lookup(mm, va)
        if vma is None:
            break
        last = min(end, vma.vm_end)
        while va < last:
            slot = pte_lookup(k, mm.pgd & PHYSICAL_MASK, va)
            mapped = slot and k.u64[slot >> 3]
            answers.append(1 if mapped or _is_cached(vma, va) else 0)
            va += PAGE_SIZE
    return bytes(answers)


def _is_cached(vma: vm_area, va: int) -> bool:
    index = vma.vm_pgoff + (va - vma.vm_start >> PAGE_SHIFT)
    if vma.vm_ops == VM_OPS_SHMEM:
        return shmem_is_resident(shmem.at(vma.k, vma.vm_private_data), index)
    f = vma.vm_file
    mapping = None if f is None else f.f_mapping
    return mapping is not None and bool(filemap_get_entry(mapping, index))


# --------------------------------------------------------------------------- System calls

@SYSCALL_DEFINE
def sys_mincore(current: task_struct, start: ULong, length: ULong, vec: UserPtr) -> int:
    """Tell which pages are in memory.  See mincore(2)."""
    if start & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    if start + length > TASK_SIZE_MAX:
        raise SyscallError(Errno.ENOMEM)
    pages = length + PAGE_SIZE - 1 >> PAGE_SHIFT
    if vec + pages > TASK_SIZE_MAX:
        raise SyscallError(Errno.EFAULT)
    mm = current_mm(current)
    while pages:
        wanted = min(pages, _PAGES_AT_ONCE)
        answers = do_mincore(mm, start, wanted)
        if not answers:
            raise SyscallError(Errno.ENOMEM)
        copy_to_user(current.k, vec, answers)
        vec += len(answers)
        start += len(answers) << PAGE_SHIFT
        pages -= len(answers)
    return 0
