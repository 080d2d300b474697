"""Page faults, and the other code that decides what a page-table entry of a user holds.

A fault is answered in this order: which VMA, is the access allowed, is there an entry already.

    no VMA                     grow the stack above, or SIGSEGV (SEGV_MAPERR)
    the VMA forbids it         SIGSEGV (SEGV_ACCERR)
    no entry    anonymous      read: the shared zero page, read-only; write: a new frame of zeros
                file, private  read: the page cache's frame, read-only; write: a copy of it
                file, shared   the page cache's frame
                (behind the end of the file: SIGBUS)
    read-only entry, write     the zero page: a new frame of zeros
                               a frame that nobody else uses: keep it, make it writable
                               any other: a copy of it

No fault is a major one: what a file holds is in the page cache, or is a hole.

A frame has one reference for each last-level table that it is mapped in, and the page cache has
one more for its frames.  So "nobody else uses it" is a reference count of 1.

**Fork** (:func:`copy_page_tables`, called by ``mm.dup_mmap``).  The classical way copies each
entry, makes both sides read-only and takes a reference for each frame: its cost is the memory in
use.  Here parent and child share the last-level tables themselves, read-only as a whole by their
PD entries (see ``pgtable``), so the cost is one step for 2 MiB.  The side that first changes
something in such a table, by a fault, an unmap or a change of rights, gets a copy of the table,
and with that the classical state for these 512 entries.  When the other side is gone meanwhile, as
after fork and exec, the table becomes private without any copy.

Physical addresses and plain numbers are used wherever a program can wait for the result; a VMA is
the index of its first word in ``k.u64``.

See: Linux mm/memory.c, arch/x86/mm/fault.c; Intel SDM vol. 3A, "Page-Fault Exceptions".
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from emulator.arch.exceptions import PageFaultError
from emulator.arch.paging import FRAME_MASK, PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import address_space, inode
from guest_kernel.layout.fs import file as file_struct
from guest_kernel.layout.mm_types import (
    MM_ANONPAGES,
    MM_FILEPAGES,
    MM_SHMEMPAGES,
    NR_MM_COUNTERS,
    STACK_GUARD_GAP,
    TASK_SIZE_MAX,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_OPS_FILE,
    VM_OPS_NONE,
    VM_OPS_SPECIAL,
    VM_SHARED,
    VM_WRITE,
    mm_struct,
    shmem,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.page import PG_held_code
from guest_kernel.layout.sched import RLIMIT_STACK, task_struct
from guest_kernel.layout.xarray import XA_CHUNK_SIZE, xa_node
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.fault import (
    BusError,
    PageFaultFailed,
    SegmentationFault,
    register_fault_handler,
)
from guest_kernel.mm.filemap import register_unmap_mapping_range, vma_file_page
from guest_kernel.mm.page_alloc import (
    alloc_page,
    get_mapped_page,
    get_zeroed_page,
    page_count,
    put_page,
    release_mapped_pages,
    release_pages,
)
from guest_kernel.mm.pgtable import (
    ANON,
    MAPCOUNT,
    NX,
    PMD_MASK,
    PMD_SIZE,
    REFCOUNT,
    RW,
    SHMEM,
    SPECIAL,
    STRUCT_PAGE_SHIFT,
    USER_ENTRIES,
    USER_TABLE,
    A,
    D,
    P,
    copy_entries,
    flush_tlb_mm,
    flush_tlb_page,
    flush_tlb_range,
    mem_map_index,
    page_index,
    page_tables,
    present_entries,
    present_range,
    pte_alloc,
    unshare_table,
    user_tables,
)
from guest_kernel.mm.shmem import shmem_page
from guest_kernel.mm.vma import (
    anon_vma_prepare,
    find_vma_pa,
    for_each_vma,
    may_expand_vm,
    rlimit,
    vm_enough_memory,
    vm_stat_account,
)
from guest_kernel.signal.numbers import BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR

# Callers of handle_mm_fault find its exceptions here.
__all__ = ["BusError", "PageFaultFailed", "SegmentationFault"]

# Bits of the error code.
_PRESENT: Final = int(PageFaultError.P)
_WRITE: Final = int(PageFaultError.W)
_USER: Final = int(PageFaultError.U)

_TASK_MM: Final = task_struct.offsetof("mm")
_TASK_MIN_FLT: Final = task_struct.offsetof("min_flt")
_MM_PGD: Final = mm_struct.offsetof("pgd") >> 3
_MM_CACHE: Final = mm_struct.offsetof("mmap_cache") >> 3
_MM_RSS: Final = mm_struct.offsetof("rss_stat") >> 3
_MM_RSS_ANON: Final = _MM_RSS + MM_ANONPAGES
_VMA_START: Final = vm_area_struct.offsetof("vm_start") >> 3
_VMA_END: Final = vm_area_struct.offsetof("vm_end") >> 3
_VMA_FLAGS: Final = vm_area_struct.offsetof("vm_flags") >> 3
_VMA_PROT: Final = vm_area_struct.offsetof("vm_page_prot") >> 3
_VMA_PGOFF: Final = vm_area_struct.offsetof("vm_pgoff") >> 3
_VMA_FILE: Final = vm_area_struct.offsetof("vm_file") >> 3
_VMA_ANON_VMA: Final = vm_area_struct.offsetof("anon_vma") >> 3
_VMA_OPS: Final = vm_area_struct.offsetof("vm_ops") >> 3  # and anon_vma_chain in the high half
_VMA_PRIVATE: Final = vm_area_struct.offsetof("vm_private_data") >> 3
_FAULT_ANON: Final = vm_data.offsetof("fault_anon") >> 3
_COW_COPIED: Final = vm_data.offsetof("cow_copied") >> 3
_COW_REUSED: Final = vm_data.offsetof("cow_reused") >> 3
_ZERO_PAGE: Final = vm_data.offsetof("empty_zero_page") >> 3
_F_MAPPING: Final = file_struct.offsetof("f_mapping") >> 3
_F_INODE: Final = file_struct.offsetof("f_inode") >> 3
_I_SIZE: Final = inode.offsetof("i_size") >> 3
_XA_HEAD: Final = address_space.offsetof("i_pages.xa_head") >> 3
_XA_SLOTS: Final = xa_node.offsetof("slots")

_PA_TO_STRUCT_PAGE: Final = PAGE_SHIFT - STRUCT_PAGE_SHIFT  # and that an index of k.i32
_PRIVATE_TABLE: Final = P | RW
_WRITABLE_ANON: Final = RW | D | ANON
_OPS_MASK: Final = 0xFFFF_FFFF
_HELD_CODE: Final = 1 << PG_held_code
# What of an entry stays when its rights change.
_PAGE_CHG_MASK: Final = FRAME_MASK | A | D | SPECIAL | ANON | SHMEM
_NO_ENTRIES: Final = memoryview(bytes(PAGE_SIZE)).cast("Q")
_NO_RSS: Final = memoryview(bytes(8 * NR_MM_COUNTERS)).cast("q")

FAULT_AROUND_PAGES: Final = 16  # mapped at once if they are cached; Linux: fault_around_bytes


# ------------------------------------------------------------------------------------- faults

def handle_mm_fault(task: task_struct, va: int, error_code: int) -> None:
    """Make the page at ``va`` accessible to ``task``, or raise.

    Afterwards the entry permits the access and the CPU holds no older translation.

    Args:
        va: CR2; any byte of the page.
        error_code: as the CPU pushed it.

    Raises:
        SegmentationFault: no VMA covers ``va``, or the VMA forbids the access.
        BusError: the file that is mapped there ends before the page.
        OutOfFrames: nothing left to map; the caller kills the task.

    Preconditions:
        ``task`` is current.

    See: Intel SDM vol. 3A, "Page-Fault Exceptions"; Linux mm/memory.c handle_mm_fault().
    """
    k: Kernel = task.k
    u64 = k.u64
    mm = (u64[(task.pa + _TASK_MM) >> 3] & PHYSICAL_MASK) >> 3
    # The commonest fault, written out: the first write to a page of an anonymous
    # mapping that other pages have been written of, in a table that is there.
    if mm and va < TASK_SIZE_MAX and error_code & _WRITE:
        vma = (u64[mm + _MM_CACHE] & PHYSICAL_MASK) >> 3
        if not (vma and u64[vma + _VMA_START] <= va < u64[vma + _VMA_END]):
            vma = find_vma_pa(k, mm << 3, va) >> 3
        if (vma and u64[vma + _VMA_START] <= va
                and u64[vma + _VMA_FLAGS] & (VM_WRITE | VM_SHARED) == VM_WRITE):
            ops = u64[vma + _VMA_OPS]
            if ops and not ops & _OPS_MASK:
                entry = u64[((u64[mm + _MM_PGD] & PHYSICAL_MASK) >> 3) + (va >> 39)]
                if entry & P:
                    entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 30 & 511)]
                    if entry & P:
                        entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 21 & 511)]
                        if entry & _PRIVATE_TABLE == _PRIVATE_TABLE:
                            slot = ((entry & FRAME_MASK) >> 3) + (va >> 12 & 511)
                            if not u64[slot]:
                                prot = u64[vma + _VMA_PROT]
                                pa = get_mapped_page(k)
                                if not prot & NX:
                                    _held_code(k, pa)
                                u64[slot] = pa | prot | _WRITABLE_ANON
                                u64[mm + _MM_RSS_ANON] += 1
                                u64[(task.pa + _TASK_MIN_FLT) >> 3] += 1
                                u64[k.vm_word + _FAULT_ANON] += 1
                                return
    try:
        if not mm or va >= TASK_SIZE_MAX:
            raise SegmentationFault(va, SEGV_MAPERR)
        _handle_fault(k, mm, va, error_code)
    except SegmentationFault:
        k.data(vm_data).fault_segv += 1
        raise
    except BusError:
        k.data(vm_data).fault_bus += 1
        raise
    u64[(task.pa + _TASK_MIN_FLT) >> 3] += 1


def fault_in(mm: mm_struct, va: int, write: bool) -> None:
    """Make a page of any address space present, for the kernel to read or write.

    Raises:
        SegmentationFault, BusError, OutOfFrames: as :func:`handle_mm_fault`.
    """
    if va >= TASK_SIZE_MAX:
        raise SegmentationFault(va, SEGV_MAPERR)
    _handle_fault(mm.k, mm.pa >> 3, va, _USER | _WRITE if write else _USER)


def _handle_fault(k: Kernel, mm: int, va: int, error_code: int) -> None:
    """Answer a fault in user space of the mm at index ``mm``."""
    u64 = k.u64
    vma = find_vma_pa(k, mm << 3, va) >> 3
    if not vma:
        raise SegmentationFault(va, SEGV_MAPERR)
    if u64[vma + _VMA_START] > va:
        if not u64[vma + _VMA_FLAGS] & VM_GROWSDOWN:
            raise SegmentationFault(va, SEGV_MAPERR)
        _expand_stack(vm_area_struct(k, vma << 3), va)
    flags = u64[vma + _VMA_FLAGS]
    write = error_code & _WRITE
    if write:
        if not flags & VM_WRITE:
            raise SegmentationFault(va, SEGV_ACCERR)
    elif error_code & _PRESENT or not flags & VM_ACCESS_FLAGS:
        raise SegmentationFault(va, SEGV_ACCERR)

    slot = _walk(u64, (u64[mm + _MM_PGD] & PHYSICAL_MASK) >> 3, va)
    if not slot:
        slot = pte_alloc(k, mm << 3, va) >> 3
    pte = u64[slot]
    if pte:
        BUG_ON(not pte & P, f"entry {pte:#x} for {va:#x}: PROT_NONE in a VMA that is not")
        if write and not pte & RW:
            _do_wp_page(k, mm, vma, va, slot, pte)
        else:
            # E.g. the table was shared, and making it private was all that was needed.
            k.data(vm_data).fault_spurious += 1
        return
    ops = u64[vma + _VMA_OPS] & _OPS_MASK
    if ops == VM_OPS_NONE:
        _do_anonymous_page(k, mm, vma, slot, write)
    elif ops == VM_OPS_SPECIAL:
        first = u64[vma + _VMA_PRIVATE] & PHYSICAL_MASK
        pa = first + (va - u64[vma + _VMA_START] & -PAGE_SIZE)
        _set_pte(k, slot, pa, u64[vma + _VMA_PROT] | SPECIAL)
        k.data(vm_data).fault_special += 1
    else:
        _do_fault(k, mm, vma, va, slot, write, ops)


def _walk(u64: memoryview, pgd: int, va: int) -> int:
    """Return the index of the entry for ``va`` if its table is there and private, else 0."""
    entry = u64[pgd + (va >> 39)]
    if entry & P:
        entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 30 & 511)]
        if entry & P:
            entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 21 & 511)]
            if entry & _PRIVATE_TABLE == _PRIVATE_TABLE:
                return ((entry & FRAME_MASK) >> 3) + (va >> 12 & 511)
    return 0


def _do_anonymous_page(k: Kernel, mm: int, vma: int, slot: int, write: int) -> None:
    u64 = k.u64
    data = k.data(vm_data)
    prot = u64[vma + _VMA_PROT]
    if not write:
        u64[slot] = u64[(data.pa >> 3) + _ZERO_PAGE] | prot | SPECIAL
        data.fault_zero_page += 1
        return
    if not u64[vma + _VMA_ANON_VMA]:
        anon_vma_prepare(vm_area_struct(k, vma << 3))
    pa = get_mapped_page(k)
    _set_pte(k, slot, pa, prot | _WRITABLE_ANON)
    u64[mm + _MM_RSS_ANON] += 1
    data.fault_anon += 1


def _do_fault(k: Kernel, mm: int, vma: int, va: int, slot: int, write: int, ops: int) -> None:
    """Map a page of a file, or of shared anonymous memory; or a copy of it."""
    u64 = k.u64
    data = k.data(vm_data)
    index = u64[vma + _VMA_PGOFF] + (va - u64[vma + _VMA_START] >> PAGE_SHIFT)
    if ops == VM_OPS_FILE:
        pa = vma_file_page(file_struct(k, u64[vma + _VMA_FILE] & PHYSICAL_MASK), index)
        kind, counter = 0, MM_FILEPAGES
    else:
        pa = shmem_page(shmem(k, u64[vma + _VMA_PRIVATE] & PHYSICAL_MASK), index)
        kind, counter = SHMEM, MM_SHMEMPAGES
    if not pa:
        raise BusError(va, BUS_ADRERR)
    prot = u64[vma + _VMA_PROT]

    if write and not u64[vma + _VMA_FLAGS] & VM_SHARED:
        try:
            if not u64[vma + _VMA_ANON_VMA]:
                anon_vma_prepare(vm_area_struct(k, vma << 3))
            new = _copy_page(k, pa)
        finally:
            put_page(k, pa)
        _set_pte(k, slot, new, prot | _WRITABLE_ANON)
        u64[mm + _MM_RSS_ANON] += 1
        data.fault_file_cow += 1
        return

    k.i32[page_index(k, pa) + MAPCOUNT] += 1
    _set_pte(k, slot, pa, prot | kind | D if write else prot | kind)
    u64[mm + _MM_RSS + counter] += 1
    if u64[vma + _VMA_FLAGS] & VM_SHARED:
        data.fault_shared += 1
    else:
        data.fault_file_read += 1
    if not write and ops == VM_OPS_FILE:
        _do_fault_around(k, mm, vma, va, slot, index)


def _do_fault_around(k: Kernel, mm: int, vma: int, va: int, slot: int, index: int) -> None:
    """Map the cached pages around the one that was read, too: they are likely to be next.

    The window is FAULT_AROUND_PAGES pages of the file, cut at the ends of the VMA, of the file and
    of the page table.
    """
    u64, i32 = k.u64, k.i32
    page = va & -PAGE_SIZE
    first = index & -FAULT_AROUND_PAGES
    low = max(page - (index - first << PAGE_SHIFT), u64[vma + _VMA_START], page & PMD_MASK)
    high = min(page + (first + FAULT_AROUND_PAGES - index << PAGE_SHIFT), u64[vma + _VMA_END],
               (page & PMD_MASK) + PMD_SIZE)
    file = (u64[vma + _VMA_FILE] & PHYSICAL_MASK) >> 3
    host = (u64[file + _F_INODE] & PHYSICAL_MASK) >> 3
    file_end = page + ((k.i64[host + _I_SIZE] + PAGE_SIZE - 1 >> PAGE_SHIFT) - index << PAGE_SHIFT)
    high = min(high, file_end)
    start = index - (page - low >> PAGE_SHIFT)
    cached = _cached_pages(k, u64[file + _F_MAPPING] & PHYSICAL_MASK, start,
                           high - low >> PAGE_SHIFT)
    prot = u64[vma + _VMA_PROT]
    mem_map = mem_map_index(k)
    slot -= page - low >> PAGE_SHIFT
    mapped = 0
    for pa in cached:
        if pa and not u64[slot]:
            pa &= PHYSICAL_MASK
            frame = mem_map + (pa >> PAGE_SHIFT << STRUCT_PAGE_SHIFT)
            i32[frame + REFCOUNT] += 1
            i32[frame + MAPCOUNT] += 1
            _set_pte(k, slot, pa, prot)
            mapped += 1
        slot += 1
    u64[mm + _MM_RSS + MM_FILEPAGES] += mapped
    k.data(vm_data).fault_file_around += mapped


def _cached_pages(k: Kernel, mapping: int, start: int, n: int) -> Sequence[int]:
    """Return the entries of pages ``[start, start + n)`` of a page cache; 0 is a hole.

    They lie in one node of the xarray: FAULT_AROUND_PAGES divides XA_CHUNK_SIZE.
    """
    u64 = k.u64
    entry = u64[(mapping >> 3) + _XA_HEAD]
    if entry & 3 != 2:
        return [entry] if start == 0 and n else []
    node = (entry - 2) & PHYSICAL_MASK
    if start >> k.u8[node] >= XA_CHUNK_SIZE:
        return []
    while k.u8[node]:
        entry = u64[((node + _XA_SLOTS) >> 3) + (start >> k.u8[node] & XA_CHUNK_SIZE - 1)]
        if entry & 3 != 2:
            return []
        node = (entry - 2) & PHYSICAL_MASK
    first = ((node + _XA_SLOTS) >> 3) + (start & XA_CHUNK_SIZE - 1)
    return u64[first : first + n].tolist()


def _do_wp_page(k: Kernel, mm: int, vma: int, va: int, slot: int, pte: int) -> None:
    """Answer a write to a page that is mapped read-only in a VMA that may be written."""
    u64 = k.u64
    data = k.data(vm_data)
    if u64[vma + _VMA_FLAGS] & VM_SHARED:
        u64[slot] = pte | RW | D
        return
    if not u64[vma + _VMA_ANON_VMA]:
        anon_vma_prepare(vm_area_struct(k, vma << 3))
    old = pte & FRAME_MASK
    if pte & SPECIAL:
        if old == data.empty_zero_page:
            new = get_zeroed_page(k)
            k.i32[page_index(k, new) + MAPCOUNT] = 0
            data.cow_zero += 1
        else:
            new = _copy_page(k, old)
            data.cow_copied += 1
        u64[mm + _MM_RSS_ANON] += 1
    else:
        i32 = k.i32
        frame = page_index(k, old)
        references = i32[frame + REFCOUNT]
        if pte & ANON and references == 1:
            u64[slot] = pte | RW | D
            u64[(data.pa >> 3) + _COW_REUSED] += 1
            return
        new = _copy_page(k, old)
        i32[frame + MAPCOUNT] -= 1
        if references > 1:
            i32[frame + REFCOUNT] = references - 1
        else:
            put_page(k, old)
        u64[(data.pa >> 3) + _COW_COPIED] += 1
        if not pte & ANON:
            u64[mm + _MM_RSS + MM_FILEPAGES] -= 1
            u64[mm + _MM_RSS_ANON] += 1
    _set_pte(k, slot, new, u64[vma + _VMA_PROT] | _WRITABLE_ANON)
    flush_tlb_page(k, mm << 3, va & -PAGE_SIZE)


def _copy_page(k: Kernel, pa: int) -> int:
    """Return a new frame, mapped once, with the contents of the one at ``pa``."""
    u8 = k.u8
    new = alloc_page(k)
    u8[new : new + PAGE_SIZE] = u8[pa : pa + PAGE_SIZE]
    k.i32[page_index(k, new) + MAPCOUNT] = 0
    return new


def _set_pte(k: Kernel, slot: int, pa: int, bits: int) -> None:
    if not bits & NX:
        _held_code(k, pa)
    k.u64[slot] = pa | bits


def _held_code(k: Kernel, pa: int) -> None:
    """Note that the CPU may translate what is in this frame: who writes it must tell the CPU."""
    k.u64[page_index(k, pa) >> 1] |= _HELD_CODE


def _expand_stack(vma: vm_area_struct, va: int) -> None:
    """Let a VM_GROWSDOWN mapping begin at the page of ``va``, below it.

    Raises:
        SegmentationFault: the address is too low, too close to the mapping below, or
            RLIMIT_STACK or RLIMIT_AS forbid it.

    See: Linux mm/vma.c expand_downwards(), acct_stack_growth().
    """
    k: Kernel = vma.k
    mm = vma.vm_mm
    assert mm is not None
    page = va & -PAGE_SIZE
    data = k.data(vm_data)
    prev = vma.vm_prev
    if page < data.mmap_min_addr:
        raise SegmentationFault(va, SEGV_MAPERR)
    if (prev is not None and not prev.vm_flags & VM_GROWSDOWN and prev.vm_flags & VM_ACCESS_FLAGS
            and page - prev.vm_end < STACK_GUARD_GAP):
        raise SegmentationFault(va, SEGV_MAPERR)
    anon_vma_prepare(vma)
    grow = vma.vm_start - page >> PAGE_SHIFT
    flags = vma.vm_flags
    if (grow > vma.vm_pgoff or not may_expand_vm(mm, flags, grow)
            or vma.vm_end - page > rlimit(k, RLIMIT_STACK)):
        raise SegmentationFault(va, SEGV_MAPERR)
    if flags & VM_ACCOUNT:
        vm_enough_memory(k, grow)
    vm_stat_account(mm, flags, grow)
    vma.vm_start = page
    vma.vm_pgoff -= grow
    data.stack_growth += 1


def mm_populate(mm: mm_struct, start: int, end: int) -> None:
    """Fault in what is mapped of ``[start, end)``, as far as possible: MAP_POPULATE.

    What can be written is written to, so that private pages are there for good.
    """
    for vma in for_each_vma(mm):
        low, high = max(start, vma.vm_start), min(end, vma.vm_end)
        write = vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
        for va in range(low, high, PAGE_SIZE):
            try:
                fault_in(mm, va, write)
            except PageFaultFailed:
                return


# --------------------------------------------------------------------------------- unmapping

def unshare_edges(mm: mm_struct, start: int, end: int) -> None:
    """Make the shared tables private of which ``[start, end)`` is a part.

    After this, :func:`zap_page_range` needs no frame and cannot fail.

    Raises:
        OutOfFrames.
    """
    k: Kernel = mm.k
    for va in (start, end):
        base = va & PMD_MASK
        if va != base:
            for slot, _, _ in page_tables(k, mm.pgd & PHYSICAL_MASK, base, base + PMD_SIZE):
                if not k.u64[slot] & RW:
                    unshare_table(k, slot)


def zap_page_range(mm: mm_struct, start: int, end: int) -> None:
    """Remove the entries of ``[start, end)`` and the references they hold.

    Tables stay, but those that fork has shared: their place becomes empty.

    Raises:
        OutOfFrames: a table that is only partly in the range could not be made private.
    """
    k: Kernel = mm.k
    u64 = k.u64
    update_hiwater_rss(mm)
    present, last_va = 0, 0
    for slot, va, last in page_tables(k, mm.pgd & PHYSICAL_MASK, start, end):
        n = last - va >> PAGE_SHIFT
        if not u64[slot] & RW and (n < 512 or page_count(k, u64[slot] & FRAME_MASK) == 1):
            unshare_table(k, slot)
        table = u64[slot] & FRAME_MASK
        first = (table >> 3) + (va >> 12 & 511)
        entries = u64[first : first + n].tolist()
        found = [i for i, pte in enumerate(entries) if pte]
        if found:
            gone = [entries[i] for i in found]
            _account_rss(k, mm.pa, gone, -1)
            present += len(gone)
            last_va = va + (found[-1] << PAGE_SHIFT)
        if not u64[slot] & RW:
            u64[slot] = 0
            put_page(k, table)
            mm.pgtables_bytes -= PAGE_SIZE
            present += 2  # the table itself may be cached
        elif found:
            u64[first : first + n] = _NO_ENTRIES[:n]
            _release(k, gone)
    if present == 1:
        flush_tlb_page(k, mm.pa, last_va)
    elif present:
        flush_tlb_range(k, mm, start, end)


def _release(k: Kernel, entries: list[int]) -> None:
    """Drop the references that entries which are gone have held."""
    release_mapped_pages(k, [pte for pte in entries if not pte & SPECIAL])


def _account_rss(k: Kernel, mm_pa: int, entries: list[int], sign: int) -> None:
    rss = (mm_pa >> 3) + _MM_RSS
    anon = shared = special = 0
    for pte in entries:
        if pte & ANON:
            anon += 1
        elif pte & SPECIAL:
            special += 1
        elif pte & SHMEM:
            shared += 1
    i64 = k.i64
    i64[rss + MM_ANONPAGES] += sign * anon
    i64[rss + MM_SHMEMPAGES] += sign * shared
    i64[rss + MM_FILEPAGES] += sign * (len(entries) - anon - shared - special)


def update_hiwater_rss(mm: mm_struct) -> None:
    """Remember the resident set before it shrinks."""
    rss = get_mm_rss(mm)
    if rss > mm.hiwater_rss:
        mm.hiwater_rss = rss


def get_mm_rss(mm: mm_struct) -> int:
    """Return the resident pages."""
    i64, rss = mm.k.i64, (mm.pa >> 3) + _MM_RSS
    total: int = i64[rss + MM_FILEPAGES] + i64[rss + MM_ANONPAGES] + i64[rss + MM_SHMEMPAGES]
    return total


def free_user_page_tables(mm: mm_struct) -> None:
    """Free all that the lower half of the table maps, and its tables: the address space ends."""
    k: Kernel = mm.k
    pgd = mm.pgd & PHYSICAL_MASK
    tables, upper = user_tables(k, pgd)
    if upper:  # else asm/exit.asm has left nothing
        gone: list[int] = []
        for table in tables:
            if page_count(k, table) == 1:
                gone += present_entries(k, table)
        k.u64[pgd >> 3 : (pgd >> 3) + USER_ENTRIES] = _NO_ENTRIES[:USER_ENTRIES]
        _release(k, gone)
        release_pages(k, tables)
        release_pages(k, upper)
    mm.rss_stat[:] = _NO_RSS
    mm.pgtables_bytes = 0
    flush_tlb_mm(k, mm)


def unmap_mapping_range(mapping: address_space, holebegin: int, holelen: int) -> None:
    """Unmap bytes of a file from all address spaces, because the file was truncated.

    The copies that private mappings have made go, too.

    Args:
        holebegin: first byte; a multiple of the page size.
        holelen: bytes; 0: to the end of the file.
    """
    first = holebegin >> PAGE_SHIFT
    last = (holebegin + holelen + PAGE_SIZE - 1) >> PAGE_SHIFT if holelen else 1 << 52
    for vma in list_for_each_entry(mapping.i_mmap, vm_area_struct, "shared"):
        pgoff = vma.vm_pgoff
        pages = vma.vm_end - vma.vm_start >> PAGE_SHIFT
        low, high = max(first - pgoff, 0), min(last - pgoff, pages)
        mm = vma.vm_mm
        if low < high and mm is not None:
            start = vma.vm_start
            zap_page_range(mm, start + (low << PAGE_SHIFT), start + (high << PAGE_SHIFT))


# ---------------------------------------------------------------------------- changing rights

def change_protection(vma: vm_area_struct, start: int, end: int) -> None:
    """Give the entries of ``[start, end)`` the rights that ``vma`` has now.

    Raises:
        OutOfFrames: a shared table could not be made private.
    """
    k: Kernel = vma.k
    u64 = k.u64
    mm = vma.vm_mm
    assert mm is not None
    prot = vma.vm_page_prot
    private_write = vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
    restricted, last_va = 0, 0
    for slot, va, last in page_tables(k, mm.pgd & PHYSICAL_MASK, start, end):
        if not u64[slot] & RW:
            unshare_table(k, slot)
        first = ((u64[slot] & FRAME_MASK) >> 3) + (va >> 12 & 511)
        n = last - va >> PAGE_SHIFT
        entries = u64[first : first + n].tolist()
        for i, old in enumerate(entries):
            if not old:
                continue
            new = old & _PAGE_CHG_MASK | prot
            if private_write and new & ANON and page_count(k, new & FRAME_MASK) == 1:
                new |= RW  # the write fault would find the same
            if not new & NX and new & (P | SPECIAL) == P:
                _held_code(k, new & FRAME_MASK)
            if old & P and (old & RW & ~new or not new & P or new & NX & ~old):
                restricted += 1
                last_va = va + (i << PAGE_SHIFT)
            entries[i] = new
        u64[first : first + n] = memoryview(array("Q", entries))
    if restricted == 1:
        flush_tlb_page(k, mm.pa, last_va)
    elif restricted:
        flush_tlb_range(k, mm, start, end)


# ---------------------------------------------------------------------------------------- fork

def copy_page_tables(new: mm_struct, old: mm_struct, left_out: list[tuple[int, int]]) -> None:
    """Let the empty ``new`` map what ``old`` maps: fork.

    Args:
        left_out: ranges, in order, whose pages the child does not get.

    Raises:
        OutOfFrames: what was copied so far is freed with ``new``.
    """
    k: Kernel = old.k
    u64, i32 = k.u64, k.i32
    source, target = (old.pa >> 3) + _MM_RSS, (new.pa >> 3) + _MM_RSS
    u64[target : target + NR_MM_COUNTERS] = u64[source : source + NR_MM_COUNTERS]
    pgd, new_pgd = (old.pgd & PHYSICAL_MASK) >> 3, (new.pgd & PHYSICAL_MASK) >> 3
    counts = mem_map_index(k) + REFCOUNT
    tables = 0
    for i, pml4e in present_range(u64, pgd, 0, USER_ENTRIES - 1):
        pdpt, new_pdpt = (pml4e & FRAME_MASK) >> 3, _new_table(k, new_pgd + i)
        for j, pdpte in present_range(u64, pdpt, 0, 511):
            pd, new_pd = (pdpte & FRAME_MASK) >> 3, _new_table(k, new_pdpt + j)
            tables += 1
            for n, entry in present_range(u64, pd, 0, 511):
                if left_out:
                    va = i << 39 | j << 30 | n << 21
                    holes = [(max(s, va), min(e, va + PMD_SIZE)) for s, e in left_out
                             if s < va + PMD_SIZE and va < e]
                    if holes:
                        _copy_table(k, new, pd + n, va, holes)
                        continue
                u64[pd + n] = u64[new_pd + n] = entry & ~RW
                i32[counts + ((entry & FRAME_MASK) >> _PA_TO_STRUCT_PAGE)] += 1
                tables += 1
        tables += 1
    new.pgtables_bytes += tables * PAGE_SIZE
    flush_tlb_mm(k, old)


def _new_table(k: Kernel, slot: int) -> int:
    """Let an entry of a user page table point to a new table; return its index in ``k.u64``."""
    table = get_zeroed_page(k)
    k.u64[slot] = table | USER_TABLE
    return table >> 3


def _copy_table(k: Kernel, new: mm_struct, slot: int, va: int,
                holes: list[tuple[int, int]]) -> None:
    """Copy a table of which the child does not get all, and empty the holes of the copy."""
    u64 = k.u64
    if not u64[slot] & RW:
        unshare_table(k, slot)
    target = pte_alloc(k, new.pa, va) & -PAGE_SIZE
    copy_entries(k, u64[slot] & FRAME_MASK, target)
    left_out: list[int] = []
    for start, end in holes:
        low, high = (target >> 3) + (start - va >> PAGE_SHIFT), (target >> 3) + (end - va
                                                                               >> PAGE_SHIFT)
        left_out += [pte for pte in u64[low:high].tolist() if pte]
        u64[low:high] = _NO_ENTRIES[: high - low]
    _account_rss(k, new.pa, left_out, -1)
    _release(k, left_out)


register_fault_handler(handle_mm_fault, fault_in)
register_unmap_mapping_range(unmap_mapping_range)
