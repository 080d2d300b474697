"""msync(2): bring a shared mapping's changes to the file.

They are in the file already: mapping and file share the page cache's frames, and no file system
here has a disk.  What is left is to check the range.

See: Linux mm/msync.c.
"""

from __future__ import annotations

from typing import Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import VM_LOCKED, mm_struct
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.mmap import current_mm
from guest_kernel.mm.vma import find_vma, page_align
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong

MS_ASYNC: Final = 1
MS_INVALIDATE: Final = 2
MS_SYNC: Final = 4


def do_msync(mm: mm_struct, start: int, size: int, flags: int) -> None:
    """Check ``[start, start + size)``.

    Raises:
        SyscallError: EINVAL: flags, or not aligned; ENOMEM: a part is not mapped; EBUSY:
            MS_INVALIDATE of locked pages.
    """
    if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or start & PAGE_SIZE - 1
            or flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC):
        raise SyscallError(Errno.EINVAL)
    end = start + page_align(size)
    if end >= 1 << 64:
        raise SyscallError(Errno.ENOMEM)
    hole = False
    while start < end:
        vma = find_vma(mm, start)
        if vma is None:
            raise SyscallError(Errno.ENOMEM)
        if start < vma.vm_start:
            if flags == MS_ASYNC or vma.vm_start >= end:
                raise SyscallError(Errno.ENOMEM)
            hole = True
        if flags & MS_INVALIDATE and vma.vm_flags & VM_LOCKED:
            raise SyscallError(Errno.EBUSY)
        start = vma.vm_end
    if hole:
        raise SyscallError(Errno.ENOMEM)


# --------------------------------------------------------------------------- System calls

@SYSCALL_DEFINE
def sys_msync(current: task_struct, start: ULong, length: ULong, flags: Int) -> int:
    """Write the changes of a mapping to its file.  See msync(2)."""
    do_msync(current_mm(current), start, length, flags)
    return 0
