"""The life of an address space: made by exec or fork, counted, torn down.

    mm_alloc()   an empty one, for exec
    dup_mmap()   a copy, for fork
    mmget() / mmput()     mm_users: the mappings.  The last put unmaps everything.
    mmgrab() / mmdrop()   mm_count: the structure and the PML4.  All users together hold one.

See: Linux kernel/fork.c mm_init(), dup_mmap(), mmput(); mm/mmap.c exit_mmap();
Documentation/mm/active_mm.rst.
"""

from __future__ import annotations

from typing import Final

from emulator.arch.paging import PAGE_SHIFT
from guest_kernel.errors import BUG
from guest_kernel.fs.inode import allow_write_access, deny_write_access
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.mm_types import (
    DEFAULT_MAX_MAP_COUNT,
    MMAP_MIN_ADDR,
    MMF_DUMPABLE_MASK,
    STACK_GUARD_GAP,
    TASK_SIZE,
    TASK_UNMAPPED_BASE,
    VM_LOCKED_MASK,
    mm_struct,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.page import kmem_cache
from guest_kernel.layout.sched import pcpu_hot
from guest_kernel.mm.filemap import fput, get_file
from guest_kernel.mm.memory import copy_page_tables, free_user_page_tables, update_hiwater_rss
from guest_kernel.mm.page_alloc import get_zeroed_page
from guest_kernel.mm.pgtable import pgd_alloc, pgd_free
from guest_kernel.mm.slab import kfree, kzalloc, struct_cache
from guest_kernel.mm.vma import (
    dup_vmas,
    free_vmas,
    page_align,
)

# The stack gets at least and at most so much room below it, whatever its limit.
_GAP_MIN: Final = 128 << 20
_GAP_MAX: Final = TASK_SIZE // 6 * 5
_STACK_MAXRANDOM: Final = 0x3F_FFFF << PAGE_SHIFT

# A child's structure is like its parent's from here on, but for what dup_mmap() sets.
_DUP_MM: Final = pcpu_hot.offsetof("dup_mm")
_EXE_FILE: Final = mm_struct.offsetof("exe_file")
_MM_USERS: Final = mm_struct.offsetof("mm_users")
_MM_COUNT: Final = mm_struct.offsetof("mm_count")
_INHERITED: Final = mm_struct.offsetof("task_size")


def mm_init(k: Kernel) -> None:
    """Set up the memory manager's globals at boot.

    Preconditions:
        ``paging_init`` has run.
    """
    data = k.data(vm_data)
    data.empty_zero_page = get_zeroed_page(k)
    data.sysctl_max_map_count = DEFAULT_MAX_MAP_COUNT
    data.mmap_min_addr = MMAP_MIN_ADDR
    init_mm = data.init_mm
    data.vm_area_cachep = kmem_cache(k, struct_cache(k, vm_area_struct))
    data.mm_cachep = kmem_cache(k, struct_cache(k, mm_struct))
    init_mm.pgd = data.swapper_pg_dir
    init_mm.mm_users, init_mm.mm_count = 2, 1


def mm_alloc(k: Kernel) -> mm_struct:
    """Return a new address space in which nothing is mapped but the kernel.

    Raises:
        OutOfFrames.
    """
    pgd = pgd_alloc(k)
    try:
        mm = kzalloc(k, mm_struct)
    except BaseException:
        pgd_free(k, pgd)
        raise
    mm.pgd = pgd + PAGE_OFFSET
    mm.mm_users = mm.mm_count = 1
    mm.task_size = TASK_SIZE
    mm.mmap_legacy_base = TASK_UNMAPPED_BASE
    arch_pick_mmap_layout(mm, 8 << 20)
    return mm


def get_dumpable(mm: mm_struct) -> int:
    """Return who may look into the processes of ``mm``: SUID_DUMP_*."""
    return mm.flags & MMF_DUMPABLE_MASK


def set_dumpable(mm: mm_struct, value: int) -> None:
    """Say who may look into the processes of ``mm``: SUID_DUMP_*."""
    mm.flags = mm.flags & ~MMF_DUMPABLE_MASK | value


def arch_pick_mmap_layout(mm: mm_struct, rlim_stack: int, *, random: int = 0,
                          randomize: bool = False) -> None:
    """Decide where mappings go: below the room that the stack's limit asks for.

    Args:
        rlim_stack: RLIMIT_STACK.
        random: bytes, a multiple of the page size, by which mappings begin lower.
        randomize: the stack's own place is random, too, and gets room for that.

    See: Linux arch/x86/mm/mmap.c mmap_base().
    """
    pad = STACK_GUARD_GAP + (_STACK_MAXRANDOM if randomize else 0)
    gap = min(max(rlim_stack + pad, _GAP_MIN), _GAP_MAX)
    mm.mmap_base = page_align(TASK_SIZE - gap - random)
    mm.mmap_legacy_base = TASK_UNMAPPED_BASE + random


def mmget(mm: mm_struct) -> mm_struct:
    """Take a reference to the mappings."""
    mm.mm_users += 1
    return mm


def mmput(mm: mm_struct) -> None:
    """Drop a reference to the mappings; the last one unmaps everything."""
    k: Kernel = mm.k
    users = (mm.pa + _MM_USERS) >> 2
    if not k.u32[users]:
        BUG(f"{mm!r}: mm_users is 0")
    k.u32[users] = left = k.u32[users] - 1
    if left:
        return
    exit_mmap(mm)
    exe_file = (mm.pa + _EXE_FILE) >> 3
    if k.u64[exe_file]:
        f = file(k, k.u64[exe_file] & PHYSICAL_MASK)
        k.u64[exe_file] = 0
        allow_write_access(f)
        fput(f)
    mmdrop(mm)


def mmgrab(mm: mm_struct) -> mm_struct:
    """Take a reference to the structure and its PML4."""
    mm.mm_count += 1
    return mm


def mmdrop(mm: mm_struct) -> None:
    """Drop a reference to the structure; the last one frees it and the PML4."""
    k: Kernel = mm.k
    count = (mm.pa + _MM_COUNT) >> 2
    if not k.u32[count]:
        BUG(f"{mm!r}: mm_count is 0")
    k.u32[count] = left = k.u32[count] - 1
    if not left:
        pgd_free(k, mm.pgd & PHYSICAL_MASK)
        kfree(mm)


def finish_exec_mm(k: Kernel) -> None:
    """Drop the address space that execve has left while it was loaded: another one is by now."""
    pcpu = k.data(pcpu_hot)
    mm = pcpu.prev_mm
    assert mm is not None
    pcpu.prev_mm = None
    mmput(mm)


def exit_mmap(mm: mm_struct) -> None:
    """Unmap everything: entries, frames, tables, VMAs."""
    update_hiwater_rss(mm)
    free_user_page_tables(mm)
    free_vmas(mm)


def set_mm_exe_file(mm: mm_struct, exe_file: file) -> None:
    """Note which file the program was loaded from, and keep it from being written to.

    Raises:
        SyscallError: ETXTBSY: it is open for writing.
    """
    deny_write_access(exe_file)
    mm.exe_file = get_file(exe_file)


def _take_dup_mm(k: Kernel) -> mm_struct | None:
    """Return the copy that the assembly has made before the call, if it is whole."""
    place = (k.pcpu + _DUP_MM) >> 3
    made = k.u64[place]
    if not made:
        return None
    k.u64[place] = 0
    mm = mm_struct(k, made & PHYSICAL_MASK & ~1)
    if made & 1:
        mmput(mm)
        return None
    return mm


def drop_dup_mm(k: Kernel) -> None:
    """Drop the copy that the assembly has made, if nobody has taken it: there is no child."""
    mm = _take_dup_mm(k)
    if mm is not None:
        mmput(mm)


def dup_mmap(oldmm: mm_struct) -> mm_struct:
    """Return a copy of an address space whose pages both share until one of them writes: fork.

    VMAs are copied, last-level page tables are shared (see ``memory.copy_page_tables``), so the
    cost follows the number of VMAs and of tables, not of pages.

    Raises:
        OutOfFrames, SyscallError (ENOMEM): nothing is left of the copy.
    """
    k: Kernel = oldmm.k
    made = _take_dup_mm(k)
    if made is not None:
        return made
    update_hiwater_rss(oldmm)
    mm = mm_alloc(k)
    try:
        u8 = k.u8
        u8[mm.pa + _INHERITED : mm.pa + mm.size] = u8[oldmm.pa + _INHERITED : oldmm.pa + mm.size]
        mm.def_flags &= ~VM_LOCKED_MASK
        mm.locked_vm = mm.pgtables_bytes = mm.hiwater_rss = 0
        mm.hiwater_vm = mm.total_vm
        exe_file = mm.exe_file
        if exe_file is not None:
            get_file(exe_file)
            deny_write_access(exe_file)
        left_out = dup_vmas(mm, oldmm)
        copy_page_tables(mm, oldmm, left_out)
    except BaseException:
        mmput(mm)
        raise
    return mm
