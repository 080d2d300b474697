"""The vDSO in a program's address space: its data, ``[vvar]``, and behind them ``[vdso]``.

See: vdso(7); Linux arch/x86/entry/vdso/vma.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.mm_types import (
    VM_DONTDUMP,
    VM_EXEC,
    VM_IO,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_PFNMAP,
    VM_READ,
    mm_struct,
)
from guest_kernel.mm.mmap import get_unmapped_area, install_special_mapping

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_VVAR_FLAGS: Final = VM_READ | VM_MAYREAD | VM_IO | VM_DONTDUMP | VM_PFNMAP
# A debugger may write there, into a copy of its own.
_VDSO_FLAGS: Final = VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC


def map_vdso(mm: mm_struct) -> int:
    """Map the vDSO into a new address space.

    Returns:
        Where its ELF header is: AT_SYSINFO_EHDR.

    Raises:
        SyscallError: ENOMEM: there is no room.
        OutOfFrames.
    """
    k: Kernel = mm.k
    symbols = k.symbols
    data = get_unmapped_area(mm, 0, 2 * PAGE_SIZE, 0)
    install_special_mapping(mm, data, PAGE_SIZE, _VVAR_FLAGS, symbols["vdso_data"] & PHYSICAL_MASK)
    text = data + PAGE_SIZE
    install_special_mapping(mm, text, PAGE_SIZE, _VDSO_FLAGS,
                            symbols["vdso_image_64"] & PHYSICAL_MASK)
    mm.vdso = text
    return text
