"""The VMAs of an address space: finding, linking, splitting, merging.

A program sees the result in ``/proc/self/maps``, so when two neighbours become one is decided just
as Linux does: same flags, same source with consecutive pages, and compatible anonymous pages.  The
last condition is Linux's ``anon_vma``: neighbours whose pages were faulted in under different ones
stay apart, and so do the VMAs of a forked child.  (In Linux the ``anon_vma`` leads from a frame to
its page-table entries.  Nothing is reclaimed here, so all that is left of it is its identity.)

Functions on the fault path work on physical addresses and plain numbers; the others on references.

See: Linux mm/vma.c (6.18), mm/rmap.c anon_vma_prepare(); Mel Gorman, "Understanding the Linux
Virtual Memory Manager", "Process Address Space".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import address_space
from guest_kernel.layout.fs import file as file_struct
from guest_kernel.layout.mm_types import (
    STACK_GUARD_GAP,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_DONTCOPY,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED_MASK,
    VM_MAYWRITE,
    VM_OPS_NONE,
    VM_OPS_SHMEM,
    VM_SHARED,
    VM_SPECIAL,
    VM_STACK,
    VM_WIPEONFORK,
    VM_WRITE,
    mm_struct,
    shmem,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.rbtree import rb_node
from guest_kernel.layout.sched import RLIMIT_AS, RLIMIT_DATA, signal_struct, task_struct
from guest_kernel.layout.sched import rlimit as rlimit_struct
from guest_kernel.lib.list import list_add_tail_va, list_del, list_del_va
from guest_kernel.lib.rbtree import rb_build_va, rb_erase_va, rb_insert_color_va, rb_link_node_va
from guest_kernel.mm.filemap import fput, fput_pa, get_file
from guest_kernel.mm.pgtable import NX, PROTNONE, RW, US, A, P, current_pa
from guest_kernel.mm.shmem import shmem_get, shmem_put
from guest_kernel.mm.slab import (
    kfree,
    kmem_cache_alloc_bulk,
    kmem_cache_free_bulk,
    kzalloc,
    struct_cache,
)

# Offsets in words of 8 bytes, for indexing k.u64 from a VMA's first word.
VMA_START: Final = vm_area_struct.offsetof("vm_start") >> 3
VMA_END: Final = vm_area_struct.offsetof("vm_end") >> 3
_NEXT: Final = vm_area_struct.offsetof("vm_next") >> 3
_PREV: Final = vm_area_struct.offsetof("vm_prev") >> 3
_MM: Final = vm_area_struct.offsetof("vm_mm") >> 3
_FLAGS: Final = vm_area_struct.offsetof("vm_flags") >> 3
_PGOFF: Final = vm_area_struct.offsetof("vm_pgoff") >> 3
_PAGE_PROT: Final = vm_area_struct.offsetof("vm_page_prot") >> 3
_FILE: Final = vm_area_struct.offsetof("vm_file") >> 3
_ANON_VMA: Final = vm_area_struct.offsetof("anon_vma") >> 3
_OPS: Final = vm_area_struct.offsetof("vm_ops") >> 3  # and anon_vma_chain in the high half
_PRIVATE: Final = vm_area_struct.offsetof("vm_private_data") >> 3
_LOW_HALF: Final = 0xFFFF_FFFF
_VMA_SIZE: Final = vm_area_struct.size
_ANON_VMA_LAST: Final = vm_data.offsetof("anon_vma_last") >> 3
_SHARED: Final = vm_area_struct.offsetof("shared")
_F_COUNT: Final = file_struct.offsetof("f_count")
_F_MAPPING: Final = file_struct.offsetof("f_mapping")
_I_MMAP: Final = address_space.offsetof("i_mmap")
_I_MMAP_WRITABLE: Final = address_space.offsetof("i_mmap_writable")
_SHARED_WRITABLE: Final = VM_SHARED | VM_MAYWRITE
_RB: Final = vm_area_struct.offsetof("vm_rb")
_RB_LEFT: Final = (rb_node.offsetof("rb_left")) >> 3
_RB_RIGHT: Final = (rb_node.offsetof("rb_right")) >> 3
_MM_MMAP: Final = mm_struct.offsetof("mmap")
_MM_RB: Final = mm_struct.offsetof("mm_rb")
_MM_CACHE: Final = mm_struct.offsetof("mmap_cache")
_MAP_COUNT: Final = mm_struct.offsetof("map_count")
_TOTAL_VM: Final = mm_struct.offsetof("total_vm") >> 3
_DATA_VM: Final = mm_struct.offsetof("data_vm") >> 3
_EXEC_VM: Final = mm_struct.offsetof("exec_vm") >> 3
_STACK_VM: Final = mm_struct.offsetof("stack_vm") >> 3
_HIWATER_VM: Final = mm_struct.offsetof("hiwater_vm") >> 3

_EMPTY_MM: Final = mm_struct.zeros(
    "mmap", "mmap_cache", "mm_rb", "map_count", "total_vm", "data_vm", "exec_vm", "stack_vm",
    "locked_vm")

_TASK_SIGNAL: Final = task_struct.offsetof("signal")
_TASK_EUID: Final = task_struct.offsetof("euid")
_SIGNAL_RLIM: Final = signal_struct.offsetof("rlim")


def page_align(size: int) -> int:
    """Return ``size`` rounded up to whole pages, in the 64 bits of an unsigned long."""
    return size + PAGE_SIZE - 1 & 0xFFFF_FFFF_FFFF_F000


def rlimit(k: Kernel, resource: int) -> int:
    """Return the current task's soft limit."""
    u64 = k.u64
    signal = u64[(current_pa(k) + _TASK_SIGNAL) >> 3] & PHYSICAL_MASK
    limit: int = u64[(signal + _SIGNAL_RLIM + resource * rlimit_struct.size) >> 3]
    return limit


def rlimit_max(k: Kernel, resource: int) -> int:
    """Return the current task's hard limit."""
    u64 = k.u64
    signal = u64[(current_pa(k) + _TASK_SIGNAL) >> 3] & PHYSICAL_MASK
    limit: int = u64[(signal + _SIGNAL_RLIM + resource * rlimit_struct.size + 8) >> 3]
    return limit


def capable(k: Kernel) -> bool:
    """Tell whether the current task has root's capabilities."""
    return not k.u32[(current_pa(k) + _TASK_EUID) >> 2]


# ------------------------------------------------------------------------------- finding

def find_vma_pa(k: Kernel, mm_pa: int, va: int) -> int:
    """Return the physical address of the first VMA that ends after ``va``; 0: there is none.

    Who looks twice looks close by: the one that was found last, and its neighbours, come first.
    """
    u64 = k.u64
    cached = u64[(mm_pa + _MM_CACHE) >> 3] & PHYSICAL_MASK
    if cached:
        vma = cached >> 3
        if u64[vma + VMA_START] <= va:
            if va < u64[vma + VMA_END]:
                return cached
            cached = u64[vma + _NEXT] & PHYSICAL_MASK
            if cached and va < u64[(cached >> 3) + VMA_END]:
                u64[(mm_pa + _MM_CACHE) >> 3] = cached + PAGE_OFFSET
                return cached
        else:
            prev = (u64[vma + _PREV] & PHYSICAL_MASK) >> 3
            if not prev or u64[prev + VMA_END] <= va:
                return cached
    found = 0
    node = u64[(mm_pa + _MM_RB) >> 3] & PHYSICAL_MASK
    while node:
        vma = (node - _RB) >> 3
        if u64[vma + VMA_END] > va:
            found = node - _RB
            if u64[vma + VMA_START] <= va:
                break
            node = u64[(node >> 3) + _RB_LEFT] & PHYSICAL_MASK
        else:
            node = u64[(node >> 3) + _RB_RIGHT] & PHYSICAL_MASK
    if found:
        u64[(mm_pa + _MM_CACHE) >> 3] = found + PAGE_OFFSET
    return found


def find_vma(mm: mm_struct, va: int) -> vm_area_struct | None:
    """Return the first VMA that ends after ``va``; it need not contain it."""
    pa = find_vma_pa(mm.k, mm.pa, va)
    return vm_area_struct(mm.k, pa) if pa else None


def vma_lookup(mm: mm_struct, va: int) -> vm_area_struct | None:
    """Return the VMA that contains ``va``."""
    vma = find_vma(mm, va)
    return vma if vma is not None and vma.vm_start <= va else None


def find_vma_intersection(mm: mm_struct, start: int, end: int) -> vm_area_struct | None:
    """Return the first VMA that overlaps ``[start, end)``."""
    vma = find_vma(mm, start)
    return vma if vma is not None and vma.vm_start < end else None


def find_vma_prev(mm: mm_struct,
                  va: int) -> tuple[vm_area_struct | None, vm_area_struct | None]:
    """Return ``(prev, vma)``: :func:`find_vma`'s answer, and the VMA below it.

    If nothing ends after ``va``, ``prev`` is the last VMA.
    """
    vma = find_vma(mm, va)
    return (vma.vm_prev if vma is not None else last_vma(mm)), vma


def last_vma(mm: mm_struct) -> vm_area_struct | None:
    """Return the VMA at the highest addresses."""
    u64 = mm.k.u64
    node, last = u64[(mm.pa + _MM_RB) >> 3] & PHYSICAL_MASK, 0
    while node:
        last, node = node, u64[(node >> 3) + _RB_RIGHT] & PHYSICAL_MASK
    return vm_area_struct(mm.k, last - _RB) if last else None


def for_each_vma(mm: mm_struct) -> Iterator[vm_area_struct]:
    """Yield the VMAs in order of address.  The one yielded may be removed meanwhile."""
    vma = mm.mmap
    while vma is not None:
        following = vma.vm_next
        yield vma
        vma = following


def vm_start_gap(vma: vm_area_struct) -> int:
    """Return where the VMA begins for who looks for free space: stacks keep a gap below."""
    start = vma.vm_start
    if vma.vm_flags & VM_GROWSDOWN:
        return max(start - STACK_GUARD_GAP, 0)
    return start


def vma_is_anonymous(vma: vm_area_struct) -> bool:
    """Tell whether the VMA's pages begin as zeros of its own."""
    return vma.vm_ops == VM_OPS_NONE


# ------------------------------------------------------------------------- rights and accounts

def vm_get_page_prot(vm_flags: int) -> int:
    """Return the bits of an entry that maps a page of such a VMA for reading.

    A private writable mapping's lacks R/W: the first write must make a copy.
    """
    prot = US | A
    if vm_flags & VM_ACCESS_FLAGS:
        prot |= P  # x86 has no page that can be executed or written but not read
    else:
        prot |= PROTNONE
    if not vm_flags & VM_EXEC:
        prot |= NX
    if vm_flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE:
        prot |= RW
    return prot


def is_data_mapping(vm_flags: int) -> bool:
    """Tell whether RLIMIT_DATA counts such a mapping: private, writable, not a stack."""
    return vm_flags & (VM_WRITE | VM_SHARED | VM_STACK) == VM_WRITE


def vm_stat_account(mm: mm_struct, vm_flags: int, nr_pages: int) -> None:
    """Count pages that such a mapping gains, or loses if negative."""
    u64, m = mm.k.u64, mm.pa >> 3
    total = u64[m + _TOTAL_VM] + nr_pages
    u64[m + _TOTAL_VM] = total
    if vm_flags & (VM_EXEC | VM_WRITE | VM_STACK) == VM_EXEC:
        u64[m + _EXEC_VM] += nr_pages
    elif vm_flags & VM_STACK:
        u64[m + _STACK_VM] += nr_pages
    elif is_data_mapping(vm_flags):
        u64[m + _DATA_VM] += nr_pages
    if total > u64[m + _HIWATER_VM]:
        u64[m + _HIWATER_VM] = total


def may_expand_vm(mm: mm_struct, vm_flags: int, nr_pages: int) -> bool:
    """Tell whether RLIMIT_AS and RLIMIT_DATA allow ``nr_pages`` more."""
    k: Kernel = mm.k
    if k.u64[(mm.pa >> 3) + _TOTAL_VM] + nr_pages > rlimit(k, RLIMIT_AS) >> PAGE_SHIFT:
        return False
    if is_data_mapping(vm_flags):
        data_vm = mm.data_vm + nr_pages
        limit = rlimit(k, RLIMIT_DATA)
        if data_vm > limit >> PAGE_SHIFT:
            # Linux lets a soft limit of 0 mean "none set", for Valgrind.
            return limit == 0 and data_vm <= rlimit_max(k, RLIMIT_DATA) >> PAGE_SHIFT
    return True


def vm_enough_memory(k: Kernel, nr_pages: int) -> None:
    """Promise ``nr_pages`` of memory to a VM_ACCOUNT mapping.

    Linux's heuristic overcommit: only what is more than all of RAM is refused.

    Raises:
        SyscallError: ENOMEM.
    """
    if nr_pages > k.data(mm_data).totalram_pages:
        raise SyscallError(Errno.ENOMEM)
    vm_acct_memory(k, nr_pages)


def vm_acct_memory(k: Kernel, nr_pages: int) -> None:
    """Count promised pages; a negative number takes a promise back."""
    k.data(vm_data).vm_committed_as += nr_pages


# ------------------------------------------------------------------------ structures and links

def vm_area_alloc(mm: mm_struct, start: int, end: int, vm_flags: int,
                  pgoff: int) -> vm_area_struct:
    """Return a new VMA that is not linked anywhere.

    Raises:
        OutOfFrames.
    """
    k: Kernel = mm.k
    vma = kzalloc(k, vm_area_struct)
    u64, v = k.u64, vma.pa >> 3
    u64[v + _MM] = mm.va
    u64[v + VMA_START], u64[v + VMA_END], u64[v + _PGOFF] = start, end, pgoff
    u64[v + _FLAGS], u64[v + _PAGE_PROT] = vm_flags, vm_get_page_prot(vm_flags)
    return vma


def vma_set_flags(vma: vm_area_struct, vm_flags: int) -> None:
    """Set ``vm_flags`` and what follows from them."""
    vma.vm_flags = vm_flags
    vma.vm_page_prot = vm_get_page_prot(vm_flags)


def vm_area_dup(vma: vm_area_struct, mm: mm_struct) -> vm_area_struct:
    """Return a copy of ``vma`` for ``mm``, not linked, with references of its own.

    Raises:
        OutOfFrames.
    """
    new = vm_area_alloc(mm, vma.vm_start, vma.vm_end, vma.vm_flags, vma.vm_pgoff)
    new.vm_ops = vma.vm_ops
    new.vm_private_data = vma.vm_private_data
    new.anon_vma, new.anon_vma_chain = vma.anon_vma, vma.anon_vma_chain
    file = vma.vm_file
    if file is not None:
        new.vm_file = get_file(file)
    elif vma.vm_ops == VM_OPS_SHMEM:
        shmem_get(shmem.at(vma.k, vma.vm_private_data))
    return new


def vm_area_free(vma: vm_area_struct) -> None:
    """Drop the references of a VMA that is not linked, and free it."""
    file = vma.vm_file
    if file is not None:
        fput(file)
    elif vma.vm_ops == VM_OPS_SHMEM:
        shmem_put(shmem.at(vma.k, vma.vm_private_data))
    kfree(vma)


def vma_pages(vma: vm_area_struct) -> int:
    """Return the VMA's size in pages."""
    return vma.vm_end - vma.vm_start >> PAGE_SHIFT


def vma_link(mm: mm_struct, vma: vm_area_struct) -> None:
    """Make ``vma`` part of ``mm``.

    Preconditions:
        Nothing else is mapped in its range.
    """
    # On numbers: a fork links each VMA of the parent, an exec some twenty.
    k: Kernel = mm.k
    u64 = k.u64
    m, v = mm.pa, vma.pa >> 3
    following = find_vma_pa(k, m, u64[v + VMA_START])
    if following:
        if u64[(following >> 3) + VMA_START] < u64[v + VMA_END]:
            BUG(f"{vma!r}: {vma.vm_start:#x}-{vma.vm_end:#x} is mapped already")
        prev = u64[(following >> 3) + _PREV] & PHYSICAL_MASK
    else:
        last = last_vma(mm)
        prev = 0 if last is None else last.pa
    va = vma.pa + PAGE_OFFSET
    u64[v + _PREV] = prev and prev + PAGE_OFFSET
    u64[v + _NEXT] = following and following + PAGE_OFFSET
    u64[(prev >> 3) + _NEXT if prev else (m + _MM_MMAP) >> 3] = va
    if following:
        u64[(following >> 3) + _PREV] = va

    # Between neighbours in order, one of the two places beside them is free.
    if prev and not u64[((prev + _RB) >> 3) + _RB_RIGHT]:
        parent, link = prev + _RB + PAGE_OFFSET, prev + _RB + (_RB_RIGHT << 3)
    elif following:
        parent, link = following + _RB + PAGE_OFFSET, following + _RB + (_RB_LEFT << 3)
    else:
        parent, link = 0, m + _MM_RB
    rb_link_node_va(u64, va + _RB, parent, link)
    rb_insert_color_va(u64, va + _RB, m + _MM_RB)

    file = u64[v + _FILE] & PHYSICAL_MASK
    if file:
        mapping = u64[(file + _F_MAPPING) >> 3] & PHYSICAL_MASK
        list_add_tail_va(u64, va + _SHARED, mapping + (PAGE_OFFSET + _I_MMAP))
        if u64[v + _FLAGS] & _SHARED_WRITABLE == _SHARED_WRITABLE:
            k.i32[(mapping + _I_MMAP_WRITABLE) >> 2] += 1
    k.u32[(m + _MAP_COUNT) >> 2] += 1


def vma_unlink(vma: vm_area_struct) -> None:
    """Take ``vma`` out of its address space; it keeps its references."""
    mm = vma.vm_mm
    assert mm is not None
    u64 = vma.k.u64
    m, v = mm.pa, vma.pa >> 3
    prev, following = u64[v + _PREV], u64[v + _NEXT]
    u64[((prev & PHYSICAL_MASK) >> 3) + _NEXT if prev else (m + _MM_MMAP) >> 3] = following
    if following:
        u64[((following & PHYSICAL_MASK) >> 3) + _PREV] = prev
    rb_erase_va(u64, vma.pa + _RB + PAGE_OFFSET, m + _MM_RB)
    if u64[(m + _MM_CACHE) >> 3] & PHYSICAL_MASK == vma.pa:
        u64[(m + _MM_CACHE) >> 3] = 0
    unlink_file_vma(vma)
    mm.map_count -= 1


def unlink_file_vma(vma: vm_area_struct) -> None:
    """Take ``vma`` off the list of its file's mappings."""
    mapping = _file_mapping(vma)
    if mapping is not None:
        list_del(vma.shared)
        if vma.vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_SHARED | VM_MAYWRITE:
            mapping.i_mmap_writable -= 1


def _file_mapping(vma: vm_area_struct) -> address_space | None:
    file = vma.vm_file
    return None if file is None else file.f_mapping


def dup_vmas(mm: mm_struct, oldmm: mm_struct) -> list[tuple[int, int]]:
    """Give the empty ``mm`` a copy of each VMA that a child inherits: fork.

    The copies are made as blocks of bytes, and then linked all at once.

    Returns:
        The ranges whose pages the child does not get: MADV_DONTFORK, MADV_WIPEONFORK.

    Raises:
        OutOfFrames, SyscallError (ENOMEM): ``mm`` is still empty.
    """
    k: Kernel = mm.k
    u8, u64 = k.u8, k.u64
    kept, left_out, accounted = [], [], 0
    old = u64[(oldmm.pa + _MM_MMAP) >> 3] & PHYSICAL_MASK
    while old:
        v = old >> 3
        flags = u64[v + _FLAGS]
        if flags & (VM_DONTCOPY | VM_WIPEONFORK):
            left_out.append((u64[v + VMA_START], u64[v + VMA_END]))
        if flags & VM_DONTCOPY:
            vm_stat_account(mm, flags, -(u64[v + VMA_END] - u64[v + VMA_START] >> PAGE_SHIFT))
        else:
            kept.append(old)
            if flags & VM_ACCOUNT:
                accounted += u64[v + VMA_END] - u64[v + VMA_START] >> PAGE_SHIFT
        old = u64[v + _NEXT] & PHYSICAL_MASK
    if accounted:
        vm_enough_memory(k, accounted)
    try:
        copies = kmem_cache_alloc_bulk(k, struct_cache(k, vm_area_struct), len(kept))
    except BaseException:
        vm_acct_memory(k, -accounted)
        raise
    mm_va = mm.va
    prev, link = 0, (mm.pa + _MM_MMAP) >> 3
    for old, new in zip(kept, copies, strict=True):
        u8[new : new + _VMA_SIZE] = u8[old : old + _VMA_SIZE]
        v, va = new >> 3, new + PAGE_OFFSET
        u64[v + _MM] = mm_va
        u64[v + _PREV] = prev
        u64[link] = prev = va
        link = v + _NEXT
        flags, file, ops = u64[v + _FLAGS], u64[v + _FILE] & PHYSICAL_MASK, u64[v + _OPS]
        if flags & VM_LOCKED_MASK:
            u64[v + _FLAGS] = flags & ~VM_LOCKED_MASK
        if flags & VM_WIPEONFORK:
            u64[v + _ANON_VMA] = 0
            u64[v + _OPS] = ops & _LOW_HALF
        elif u64[v + _ANON_VMA]:
            # The child's own anonymous pages beside those that it inherits.
            u64[k.vm_word + _ANON_VMA_LAST] = u64[v + _ANON_VMA] = (
                u64[k.vm_word + _ANON_VMA_LAST] + 1)
            u64[v + _OPS] = ops + (1 << 32)  # anon_vma_chain
        if file:
            u64[(file + _F_COUNT) >> 3] += 1
            mapping = u64[(file + _F_MAPPING) >> 3] & PHYSICAL_MASK
            list_add_tail_va(u64, va + _SHARED, mapping + (PAGE_OFFSET + _I_MMAP))
            if flags & _SHARED_WRITABLE == _SHARED_WRITABLE:
                k.i32[(mapping + _I_MMAP_WRITABLE) >> 2] += 1
        elif ops & _LOW_HALF == VM_OPS_SHMEM:
            shmem_get(shmem.at(k, u64[v + _PRIVATE]))
    u64[link] = 0
    rb_build_va(u64, [new + (PAGE_OFFSET + _RB) for new in copies], mm.pa + _MM_RB)
    mm.map_count = len(copies)
    return left_out


def free_vmas(mm: mm_struct) -> None:
    """Free all VMAs of an address space that ends; nothing of them is mapped any more."""
    k: Kernel = mm.k
    u64 = k.u64
    accounted = 0
    vmas = []
    vma = u64[(mm.pa + _MM_MMAP) >> 3] & PHYSICAL_MASK
    while vma:
        vmas.append(vma)
        v = vma >> 3
        flags = u64[v + _FLAGS]
        if flags & VM_ACCOUNT:
            accounted += u64[v + VMA_END] - u64[v + VMA_START]
        file = u64[v + _FILE] & PHYSICAL_MASK
        if file:
            list_del_va(u64, vma + (PAGE_OFFSET + _SHARED))
            if flags & _SHARED_WRITABLE == _SHARED_WRITABLE:
                mapping = u64[(file + _F_MAPPING) >> 3] & PHYSICAL_MASK
                k.i32[(mapping + _I_MMAP_WRITABLE) >> 2] -= 1
            count = (file + _F_COUNT) >> 3
            if u64[count] > 1:
                u64[count] -= 1
            else:
                fput_pa(k, file)
        elif u64[v + _OPS] & _LOW_HALF == VM_OPS_SHMEM:
            shmem_put(shmem.at(k, u64[v + _PRIVATE]))
        vma = u64[v + _NEXT] & PHYSICAL_MASK
    if vmas:  # else asm/exit.asm has left none
        kmem_cache_free_bulk(k, vmas)
        vm_acct_memory(k, -(accounted >> PAGE_SHIFT))
    for start, end, zeros in _EMPTY_MM:
        k.u8[mm.pa + start : mm.pa + end] = zeros


def insert_vm_struct(mm: mm_struct, vma: vm_area_struct) -> None:
    """Link a VMA that the kernel made for a program.  Its pages are not accounted.

    Raises:
        SyscallError: ENOMEM: the range is taken, or too much is promised already.
    """
    if find_vma_intersection(mm, vma.vm_start, vma.vm_end) is not None:
        raise SyscallError(Errno.ENOMEM)
    vma_link(mm, vma)


# ------------------------------------------------------------------------------ anonymous pages

def anon_vma_prepare(vma: vm_area_struct) -> None:
    """Make sure that ``vma`` can have anonymous pages: give it an ``anon_vma``.

    A neighbour's is taken if the two could become one VMA but for rights, so that a sequence of
    mprotect and faults does not keep apart what could merge later.
    """
    if vma.anon_vma:
        return
    vma.anon_vma = _find_mergeable_anon_vma(vma) or _new_anon_vma(vma.k)
    vma.anon_vma_chain = 1


def _new_anon_vma(k: Kernel) -> int:
    data = k.data(vm_data)
    data.anon_vma_last += 1
    return data.anon_vma_last


def _find_mergeable_anon_vma(vma: vm_area_struct) -> int:
    following, prev = vma.vm_next, vma.vm_prev
    if (following is not None and following.anon_vma and following.anon_vma_chain == 1
            and _anon_vma_compatible(vma, following)):
        return following.anon_vma
    if (prev is not None and prev.anon_vma and prev.anon_vma_chain == 1
            and _anon_vma_compatible(prev, vma)):
        return prev.anon_vma
    return 0


def _anon_vma_compatible(a: vm_area_struct, b: vm_area_struct) -> bool:
    return (
        a.vm_end == b.vm_start
        and vma_backing(a) == vma_backing(b)
        and not (a.vm_flags ^ b.vm_flags) & ~VM_ACCESS_FLAGS
        and b.vm_pgoff == a.vm_pgoff + vma_pages(a)
    )


def unlink_anon_vmas(vma: vm_area_struct) -> None:
    """Forget the anonymous pages of a VMA that has none any more."""
    vma.anon_vma = 0
    vma.anon_vma_chain = 0


def _dup_anon_vma(dst: vm_area_struct, src: vm_area_struct) -> None:
    """Let ``dst`` cover ``src``'s anonymous pages, before it takes over some of its range."""
    if src.anon_vma and not dst.anon_vma:
        dst.anon_vma, dst.anon_vma_chain = src.anon_vma, src.anon_vma_chain


# ---------------------------------------------------------------------------------- splitting

def split_vma(vma: vm_area_struct, va: int, new_below: bool) -> None:
    """Cut ``vma`` in two at ``va``; the new VMA is the lower or the upper part.

    Raises:
        SyscallError: ENOMEM: there are as many VMAs as allowed.
        OutOfFrames: nothing has changed.
    """
    mm = vma.vm_mm
    assert mm is not None
    if mm.map_count >= vma.k.data(vm_data).sysctl_max_map_count:
        raise SyscallError(Errno.ENOMEM)
    split_vma_unchecked(vma, va, new_below)


def split_vma_unchecked(vma: vm_area_struct, va: int, new_below: bool) -> None:
    """Split as :func:`split_vma` does, without the limit.  Linux: ``__split_vma``."""
    mm = vma.vm_mm
    assert mm is not None
    new = vm_area_dup(vma, mm)
    pages = va - vma.vm_start >> PAGE_SHIFT
    if new_below:
        new.vm_end = va
        vma.vm_start = va
        vma.vm_pgoff += pages
    else:
        new.vm_start = va
        new.vm_pgoff += pages
        vma.vm_end = va
    vma_link(mm, new)


# ------------------------------------------------------------------------------------ merging

Backing = tuple[int, int, int]


def vma_backing(vma: vm_area_struct) -> Backing:
    """Return what fills the VMA's pages, as numbers that compare."""
    file = vma.vm_file
    return vma.vm_ops, 0 if file is None else file.va, vma.vm_private_data


class vma_merge_struct:
    """A range that is to get these properties, and its neighbours.  Linux's struct of that name.

    Attributes:
        mm: the address space.
        start, end: the range.
        flags, pgoff, backing: as the range's VMA is to have them.
        prev, next: the VMAs beside the range; ``prev`` contains it if it begins inside.
        middle: the VMA that the range is (a part of) now, if it is mapped.
        copied_from: the VMA that the range will be a copy of (mremap).
        anon_vma: the ``anon_vma`` of either.
        just_expand: only ``prev`` may grow; do not look at ``next`` (brk).
    """

    __slots__ = ("anon_vma", "backing", "copied_from", "end", "flags", "just_expand", "middle",
                 "mm", "next", "pgoff", "prev", "start")

    def __init__(self, mm: mm_struct, start: int, end: int, flags: int, pgoff: int,
                 backing: Backing, prev: vm_area_struct | None = None,
                 next: vm_area_struct | None = None, middle: vm_area_struct | None = None,
                 copied_from: vm_area_struct | None = None, anon_vma: int = 0,
                 just_expand: bool = False) -> None:
        self.mm = mm
        self.start = start
        self.end = end
        self.flags = flags
        self.pgoff = pgoff
        self.backing = backing
        self.prev = prev
        self.next = next
        self.middle = middle
        self.copied_from = copied_from
        self.anon_vma = anon_vma
        self.just_expand = just_expand


def _is_mergeable_vma(vmg: vma_merge_struct, target: vm_area_struct) -> bool:
    return target.vm_flags == vmg.flags and vma_backing(target) == vmg.backing


def _is_mergeable_anon_vma(vmg: vma_merge_struct, target: vm_area_struct) -> bool:
    ours, theirs = vmg.anon_vma, target.anon_vma
    if ours and not theirs:
        return not _is_fork_child(vmg.middle) and not _is_fork_child(vmg.copied_from)
    if theirs and not ours:
        return not _is_fork_child(target)
    return ours == theirs


def _is_fork_child(vma: vm_area_struct | None) -> bool:
    return vma is not None and vma.anon_vma_chain > 1


def _can_vma_merge_left(vmg: vma_merge_struct) -> bool:
    prev = vmg.prev
    return (
        prev is not None
        and prev.vm_end == vmg.start
        and _is_mergeable_vma(vmg, prev)
        and _is_mergeable_anon_vma(vmg, prev)
        and prev.vm_pgoff + vma_pages(prev) == vmg.pgoff
    )


def _can_vma_merge_right(vmg: vma_merge_struct, can_merge_left: bool) -> bool:
    following = vmg.next
    if (
        following is None
        or following.vm_start != vmg.end
        or not _is_mergeable_vma(vmg, following)
        or not _is_mergeable_anon_vma(vmg, following)
        or following.vm_pgoff != vmg.pgoff + (vmg.end - vmg.start >> PAGE_SHIFT)
    ):
        return False
    if not can_merge_left:
        return True
    # Each may fit the range, and yet the two not each other.
    assert vmg.prev is not None
    left, right = vmg.prev.anon_vma, following.anon_vma
    return not left or not right or left == right


def vma_merge_new_range(vmg: vma_merge_struct) -> vm_area_struct | None:
    """Let a neighbour, or both in one, cover a range that is not mapped yet.

    Returns:
        The VMA that covers it now; None: neither neighbour fits.
    """
    if vmg.flags & VM_SPECIAL:
        return None
    prev, following = vmg.prev, vmg.next
    can_merge_left = _can_vma_merge_left(vmg)
    can_merge_right = not vmg.just_expand and _can_vma_merge_right(vmg, can_merge_left)
    if can_merge_left:
        assert prev is not None
        target, end = prev, vmg.end
        if can_merge_right:
            assert following is not None
            _dup_anon_vma(prev, following)
            end = following.vm_end
            _remove_merged(following)
        prev.vm_end = end
    elif can_merge_right:
        assert following is not None
        target = following
        target.vm_start = vmg.start
        target.vm_pgoff = vmg.pgoff
    else:
        return None
    if vmg.copied_from is not None:
        _dup_anon_vma(target, vmg.copied_from)
    return target


def vma_merge_existing_range(vmg: vma_merge_struct) -> vm_area_struct | None:
    """Let a neighbour take over a range of ``middle`` that is about to get the same properties.

    Returns:
        The VMA that covers the range now; None: neither neighbour fits.
    """
    vma, prev = vmg.middle, vmg.prev
    assert vma is not None
    left_side = vmg.start == vma.vm_start
    right_side = vmg.end == vma.vm_end
    if vmg.flags & VM_SPECIAL or not (left_side or right_side):
        return None
    merge_left = left_side and _can_vma_merge_left(vmg)
    merge_right = False
    if right_side:
        vmg.next = vma.vm_next
        merge_right = _can_vma_merge_right(vmg, merge_left)
    following = vmg.next
    whole = left_side and right_side

    if merge_left and merge_right:
        #          |<----->|
        #  |-------*********-------|
        #    prev     vma     next
        #   extend   delete  delete
        assert prev is not None
        assert following is not None
        _dup_anon_vma(prev, following if following.anon_vma else vma)
        end = following.vm_end
        _remove_merged(vma)
        _remove_merged(following)
        prev.vm_end = end
        return prev
    if merge_left:
        #          |<----->| or all of vma
        #  |-------*************
        #    prev       vma
        #   extend shrink or delete
        assert prev is not None
        _dup_anon_vma(prev, vma)
        if whole:
            _remove_merged(vma)
        else:
            vma.vm_pgoff += vmg.end - vma.vm_start >> PAGE_SHIFT
            vma.vm_start = vmg.end
        prev.vm_end = vmg.end
        return prev
    if merge_right:
        #      |<----->| or all of vma
        #  *************-------|
        #       vma       next
        # shrink or delete extend
        assert following is not None
        _dup_anon_vma(following, vma)
        if whole:
            _remove_merged(vma)
        else:
            vma.vm_end = vmg.start
        following.vm_start = vmg.start
        following.vm_pgoff = vmg.pgoff
        return following
    return None


def _remove_merged(vma: vm_area_struct) -> None:
    vma_unlink(vma)
    vm_area_free(vma)


def vma_modify_flags(vma: vm_area_struct, start: int, end: int,
                     new_flags: int) -> vm_area_struct:
    """Return a VMA for ``[start, end)`` of ``vma``, merged or split off, to get ``new_flags``.

    A merged VMA has the flags already, one that was split off does not yet.

    Raises:
        SyscallError: ENOMEM: a split would make too many VMAs.
        OutOfFrames.
    """
    mm = vma.vm_mm
    assert mm is not None
    vmg = vma_merge_struct(
        mm, start, end, new_flags, vma.vm_pgoff + (start - vma.vm_start >> PAGE_SHIFT),
        vma_backing(vma), prev=vma if start > vma.vm_start else vma.vm_prev, middle=vma,
        anon_vma=vma.anon_vma,
    )
    merged = vma_merge_existing_range(vmg)
    if merged is not None:
        return merged
    if vma.vm_start < start:
        split_vma(vma, start, new_below=True)
    if vma.vm_end > end:
        split_vma(vma, end, new_below=False)
    return vma


def vma_merge_extend(vma: vm_area_struct, delta: int) -> vm_area_struct:
    """Let ``vma`` grow by ``delta`` bytes, into which the next VMA may be merged.

    Preconditions:
        The bytes behind it are not mapped.
    """
    mm = vma.vm_mm
    assert mm is not None
    end = vma.vm_end
    vmg = vma_merge_struct(
        mm, end, end + delta, vma.vm_flags, vma.vm_pgoff + vma_pages(vma), vma_backing(vma),
        prev=vma, next=vma.vm_next, anon_vma=vma.anon_vma,
    )
    merged = vma_merge_new_range(vmg)
    if merged is None:
        raise SyscallError(Errno.ENOMEM)
    return merged


def copy_vma(vma: vm_area_struct, va: int, size: int,
             pgoff: int) -> tuple[vm_area_struct, vm_area_struct]:
    """Make a copy of ``vma`` that maps ``size`` bytes at ``va``, before its pages are moved there.

    Returns:
        The copy, which may be a neighbour that grew, and ``vma``, which may be that neighbour.

    Raises:
        OutOfFrames.
    """
    mm = vma.vm_mm
    assert mm is not None
    # Nothing was faulted in, so no page depends on the offset; a fitting one may let it merge.
    if vma_is_anonymous(vma) and not vma.anon_vma:
        pgoff = va >> PAGE_SHIFT
    prev, following = find_vma_prev(mm, va)
    vma_start = vma.vm_start
    vmg = vma_merge_struct(
        mm, va, va + size, vma.vm_flags, pgoff, vma_backing(vma), prev=prev, next=following,
        copied_from=vma, anon_vma=vma.anon_vma,
    )
    new = vma_merge_new_range(vmg)
    if new is not None:
        if new.vm_start <= vma_start < new.vm_end:
            vma = new
        return new, vma
    new = vm_area_dup(vma, mm)
    new.vm_start, new.vm_end, new.vm_pgoff = va, va + size, pgoff
    vma_link(mm, new)
    return new, vma


