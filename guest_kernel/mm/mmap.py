"""Making and removing mappings: mmap(2), munmap(2), brk(2), and where a mapping goes.

The order of checks is Linux's, because a call with two faults must fail with Linux's error.

See: Linux mm/mmap.c do_mmap(), mm/vma.c mmap_region() and do_vmi_munmap(), arch/x86/kernel/
sys_x86_64.c; mmap(2), munmap(2), brk(2).
"""

from __future__ import annotations

from typing import Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import (
    FMODE_PATH,
    FMODE_READ,
    FMODE_WRITE,
    MAX_LFS_FILESIZE,
    MNT_NOEXEC,
    S_APPEND,
    Ops,
    file,
)
from guest_kernel.layout.mm_types import (
    DEFAULT_MAP_WINDOW,
    STACK_GUARD_GAP,
    TASK_SIZE,
    VM_ACCOUNT,
    VM_DATA_FLAGS,
    VM_DONTEXPAND,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NORESERVE,
    VM_OPS_FILE,
    VM_OPS_NONE,
    VM_OPS_SHMEM,
    VM_OPS_SPECIAL,
    VM_SHARED,
    VM_SPECIAL,
    VM_SYNC,
    VM_WRITE,
    mm_struct,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import RLIM_INFINITY, RLIMIT_DATA, RLIMIT_MEMLOCK, task_struct
from guest_kernel.mm.filemap import file_can_mmap, get_file
from guest_kernel.mm.memory import mm_populate, unshare_edges, zap_page_range
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.pgtable import USER_PGTABLES_CEILING, free_pgtables
from guest_kernel.mm.shmem import shmem_create
from guest_kernel.mm.vma import (
    capable,
    find_vma,
    find_vma_intersection,
    find_vma_prev,
    insert_vm_struct,
    last_vma,
    may_expand_vm,
    page_align,
    rlimit,
    split_vma_unchecked,
    vm_acct_memory,
    vm_area_alloc,
    vm_area_free,
    vm_enough_memory,
    vm_start_gap,
    vm_stat_account,
    vma_link,
    vma_merge_new_range,
    vma_merge_struct,
    vma_pages,
    vma_unlink,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong

PROT_READ: Final = 0x1
PROT_WRITE: Final = 0x2
PROT_EXEC: Final = 0x4
PROT_SEM: Final = 0x8  # may be used for atomic operations: always so
PROT_NONE: Final = 0x0
PROT_GROWSDOWN: Final = 0x0100_0000
PROT_GROWSUP: Final = 0x0200_0000

MAP_SHARED: Final = 0x01
MAP_PRIVATE: Final = 0x02
MAP_SHARED_VALIDATE: Final = 0x03
MAP_TYPE: Final = 0x0F
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_32BIT: Final = 0x40
MAP_ABOVE4G: Final = 0x80
MAP_GROWSDOWN: Final = 0x0100
MAP_DENYWRITE: Final = 0x0800
MAP_EXECUTABLE: Final = 0x1000
MAP_LOCKED: Final = 0x2000
MAP_NORESERVE: Final = 0x4000
MAP_POPULATE: Final = 0x8000
MAP_NONBLOCK: Final = 0x1_0000
MAP_STACK: Final = 0x2_0000
MAP_HUGETLB: Final = 0x4_0000
MAP_SYNC: Final = 0x8_0000
MAP_FIXED_NOREPLACE: Final = 0x10_0000
MAP_UNINITIALIZED: Final = 0x400_0000
_MAP_HUGE: Final = 0x3F << 26  # log2 of the huge page size
# What MAP_SHARED_VALIDATE may be combined with.
LEGACY_MAP_MASK: Final = (
    MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE
    | MAP_UNINITIALIZED | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK
    | MAP_STACK | MAP_HUGETLB | MAP_32BIT | MAP_ABOVE4G | _MAP_HUGE
)

# Where MAP_32BIT mappings go.
_LOW_BEGIN: Final = 0x4000_0000
_LOW_END: Final = 0x8000_0000
_4GIB: Final = 1 << 32


# ----------------------------------------------------------------------------- finding space

def get_unmapped_area(mm: mm_struct, va: int, size: int, flags: int) -> int:
    """Return where a mapping of ``size`` bytes goes.

    Args:
        va: with MAP_FIXED the place, else a hint, or 0.
        size: a multiple of the page size.
        flags: MAP_*.

    Raises:
        SyscallError: ENOMEM: no room; EINVAL: MAP_FIXED and not aligned; EPERM: MAP_FIXED below
            mmap_min_addr.
    """
    if size > TASK_SIZE:
        raise SyscallError(Errno.ENOMEM)
    if not flags & MAP_FIXED:
        va = _find_area(mm, va, size, flags)
    if va > TASK_SIZE - size:
        raise SyscallError(Errno.ENOMEM)
    if va & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    if va < mm.k.data(vm_data).mmap_min_addr and not capable(mm.k):
        raise SyscallError(Errno.EPERM)
    return va


def _find_area(mm: mm_struct, hint: int, size: int, flags: int) -> int:
    """Choose an address.  See Linux arch_get_unmapped_area_topdown()."""
    if flags & MAP_32BIT:
        return _find_area_bottom_up(mm, hint, size, flags)
    found = _free_at_hint(mm, hint, size)
    if found:
        return found
    low = _4GIB if flags & MAP_ABOVE4G else PAGE_SIZE
    found = _unmapped_area_topdown(mm, size, low, mm.mmap_base)
    if found:
        return found
    # Also above mmap_base there may be room.
    return _find_area_bottom_up(mm, hint, size, flags)


def _find_area_bottom_up(mm: mm_struct, hint: int, size: int, flags: int) -> int:
    low, high = (_LOW_BEGIN, _LOW_END) if flags & MAP_32BIT else (mm.mmap_legacy_base, TASK_SIZE)
    if flags & MAP_ABOVE4G:
        low = max(low, _4GIB)
    if size > high:
        raise SyscallError(Errno.ENOMEM)
    if hint:
        va = page_align(hint)
        following = find_vma(mm, va)
        if high - size >= va and (following is None or va + size <= vm_start_gap(following)):
            return va
    found = _unmapped_area(mm, size, low, high)
    if not found:
        raise SyscallError(Errno.ENOMEM)
    return found


def _free_at_hint(mm: mm_struct, hint: int, size: int) -> int:
    """Return the hint's page if a mapping can go there, else 0."""
    va = hint & -PAGE_SIZE
    if not va or TASK_SIZE - size < va or (va > DEFAULT_MAP_WINDOW) != (
            va + size > DEFAULT_MAP_WINDOW):
        return 0
    following = find_vma(mm, va)
    return va if following is None or va + size <= vm_start_gap(following) else 0


def _unmapped_area_topdown(mm: mm_struct, size: int, low: int, high: int) -> int:
    """Return the highest free address for ``size`` bytes in ``[low, high)``, or 0.

    Steps from VMA to VMA downwards, on numbers: this is how long an mmap(2) takes.
    """
    vma = find_vma(mm, high - 1)
    if vma is None:
        vma = last_vma(mm)
    elif vma.vm_start >= high:
        high = min(high, vm_start_gap(vma))
        vma = vma.vm_prev
    k: Kernel = mm.k
    u64 = k.u64
    index = 0 if vma is None else vma.pa >> 3
    while index:
        if high - u64[index + _VM_END] >= size and u64[index + _VM_END] < high:
            break
        high = u64[index + _VM_START]
        if u64[index + _VM_FLAGS] & VM_GROWSDOWN:
            high = max(high - STACK_GUARD_GAP, 0)
        if high < low + size:
            return 0
        index = (u64[index + _VM_PREV] & PHYSICAL_MASK) >> 3
    return high - size if high - size >= low else 0


def _unmapped_area(mm: mm_struct, size: int, low: int, high: int) -> int:
    """Return the lowest free address for ``size`` bytes in ``[low, high)``, or 0."""
    vma = find_vma(mm, low)
    while vma is not None and low + size <= high:
        if low + size <= vm_start_gap(vma):
            return low
        low = max(low, vma.vm_end)
        vma = vma.vm_next
    return low if low + size <= high else 0


_VM_START: Final = vm_area_struct.offsetof("vm_start") >> 3
_VM_END: Final = vm_area_struct.offsetof("vm_end") >> 3
_VM_FLAGS: Final = vm_area_struct.offsetof("vm_flags") >> 3
_VM_PREV: Final = vm_area_struct.offsetof("vm_prev") >> 3


# ------------------------------------------------------------------------------------- mmap

def calc_vm_prot_bits(prot: int) -> int:
    """Return the VM_* of PROT_*."""
    return prot & (PROT_READ | PROT_WRITE | PROT_EXEC)  # the same bits


def mlock_future_ok(mm: mm_struct, vm_flags: int, size: int) -> bool:
    """Tell whether RLIMIT_MEMLOCK allows ``size`` more bytes of such a mapping."""
    k: Kernel = mm.k
    if not vm_flags & VM_LOCKED or capable(k):
        return True
    return mm.locked_vm + (size >> PAGE_SHIFT) <= rlimit(k, RLIMIT_MEMLOCK) >> PAGE_SHIFT


def do_mmap(mm: mm_struct, f: file | None, va: int, size: int, prot: int, flags: int,
            pgoff: int) -> tuple[int, bool]:
    """Make a mapping.

    Args:
        f: the file to map, or None for anonymous memory.
        va: where (MAP_FIXED), or a hint.
        size: bytes.
        prot, flags: PROT_*, MAP_*.
        pgoff: first page of the file.

    Returns:
        Where it is, and whether it is to be populated (:func:`memory.mm_populate`).

    Raises:
        SyscallError: as in mmap(2).
        OutOfFrames.
    """
    if not size:
        raise SyscallError(Errno.EINVAL)
    if flags & MAP_FIXED_NOREPLACE:
        flags |= MAP_FIXED
    if not flags & MAP_FIXED:
        va = _round_hint_to_min(mm.k, va)
    size = page_align(size)
    if not size:
        raise SyscallError(Errno.ENOMEM)
    if pgoff + (size >> PAGE_SHIFT) >= 1 << 64:
        raise SyscallError(Errno.EOVERFLOW)
    if mm.map_count > mm.k.data(vm_data).sysctl_max_map_count:
        raise SyscallError(Errno.ENOMEM)
    vm_flags = (calc_vm_prot_bits(prot) | mm.def_flags
                | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
    vm_flags |= VM_GROWSDOWN if flags & MAP_GROWSDOWN else 0
    vm_flags |= VM_LOCKED if flags & MAP_LOCKED else 0
    vm_flags |= VM_SYNC if flags & MAP_SYNC else 0
    va = get_unmapped_area(mm, va, size, flags)
    if (flags & MAP_FIXED_NOREPLACE
            and find_vma_intersection(mm, va, va + size) is not None):
        raise SyscallError(Errno.EEXIST)
    if flags & MAP_LOCKED and not capable(mm.k) and not rlimit(mm.k, RLIMIT_MEMLOCK):
        raise SyscallError(Errno.EPERM)
    if not mlock_future_ok(mm, vm_flags, size):
        raise SyscallError(Errno.EAGAIN)

    map_type = flags & MAP_TYPE
    if f is not None:
        vm_flags = _check_file(f, size, prot, flags, pgoff, vm_flags)
    elif map_type == MAP_SHARED:
        if vm_flags & VM_GROWSDOWN:
            raise SyscallError(Errno.EINVAL)
        pgoff = 0
        vm_flags |= VM_SHARED | VM_MAYSHARE
    elif map_type == MAP_PRIVATE:
        pgoff = va >> PAGE_SHIFT
    else:
        raise SyscallError(Errno.EINVAL)
    if flags & MAP_NORESERVE:
        vm_flags |= VM_NORESERVE

    mmap_region(mm, f, va, size, vm_flags, pgoff)
    populate = vm_flags & VM_LOCKED or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE
    return va, bool(populate)


def _round_hint_to_min(k: Kernel, hint: int) -> int:
    hint &= -PAGE_SIZE
    lowest = k.data(vm_data).mmap_min_addr
    return page_align(lowest) if hint and hint < lowest else hint


def _check_file(f: file, size: int, prot: int, flags: int, pgoff: int, vm_flags: int) -> int:
    """Return ``vm_flags`` as the file and the way it was opened allow them.

    Raises:
        SyscallError: EOVERFLOW, EACCES, EPERM, ENODEV, EINVAL, EOPNOTSUPP.
    """
    if pgoff + (size >> PAGE_SHIFT) > MAX_LFS_FILESIZE >> PAGE_SHIFT:
        raise SyscallError(Errno.EOVERFLOW)
    map_type = flags & MAP_TYPE
    mode = f.f_mode
    if map_type in (MAP_SHARED, MAP_SHARED_VALIDATE):
        if map_type == MAP_SHARED_VALIDATE and flags & ~LEGACY_MAP_MASK:
            raise SyscallError(Errno.EOPNOTSUPP)
        if prot & PROT_WRITE and not mode & FMODE_WRITE:
            raise SyscallError(Errno.EACCES)
        if mode & FMODE_WRITE and f.f_inode.i_flags & S_APPEND:
            raise SyscallError(Errno.EACCES)
        vm_flags |= VM_SHARED | VM_MAYSHARE
        if not mode & FMODE_WRITE:
            vm_flags &= ~(VM_MAYWRITE | VM_SHARED)
    elif map_type != MAP_PRIVATE:
        raise SyscallError(Errno.EINVAL)
    if not mode & FMODE_READ:
        raise SyscallError(Errno.EACCES)
    if f.f_path.mnt.mnt_flags & MNT_NOEXEC:
        if vm_flags & VM_EXEC:
            raise SyscallError(Errno.EPERM)
        vm_flags &= ~VM_MAYEXEC
    if f.f_op != Ops.ZERO_FOPS and not file_can_mmap(f):
        raise SyscallError(Errno.ENODEV)
    if vm_flags & VM_GROWSDOWN:
        raise SyscallError(Errno.EINVAL)
    return vm_flags


def mmap_region(mm: mm_struct, f: file | None, va: int, size: int, vm_flags: int,
                pgoff: int) -> None:
    """Replace what is mapped at ``[va, va + size)`` by a mapping.

    Raises:
        SyscallError: ENOMEM: a limit; what was mapped there may be gone then.
        OutOfFrames.
    """
    k: Kernel = mm.k
    end = va + size
    nr_pages = size >> PAGE_SHIFT
    replaced, replaced_accounted = _count_mapped(mm, va, end)
    if not may_expand_vm(mm, vm_flags, nr_pages - replaced):
        raise SyscallError(Errno.ENOMEM)
    if _accountable(vm_flags):
        vm_flags |= VM_ACCOUNT
        if nr_pages - replaced_accounted > k.data(mm_data).totalram_pages:
            raise SyscallError(Errno.ENOMEM)
    unmap_vmas(mm, va, end)

    zeros = f is None or f.f_op == Ops.ZERO_FOPS
    if zeros and vm_flags & VM_SHARED:
        vma = _new_shmem_vma(mm, va, end, vm_flags)
    else:
        ops = VM_OPS_NONE if zeros else VM_OPS_FILE
        prev, following = find_vma_prev(mm, va)
        merged = vma_merge_new_range(vma_merge_struct(
            mm, va, end, vm_flags, pgoff, (ops, 0 if f is None else f.va, 0), prev=prev,
            next=following))
        vma = merged or _new_vma(mm, f, ops, va, end, vm_flags, pgoff)

    if vm_flags & VM_ACCOUNT:
        vm_acct_memory(k, nr_pages)
    vm_stat_account(mm, vm_flags, nr_pages)
    if vm_flags & VM_LOCKED:
        if vm_flags & VM_SPECIAL:
            vma.vm_flags &= ~VM_LOCKED
        else:
            mm.locked_vm += nr_pages


def _new_vma(mm: mm_struct, f: file | None, ops: int, start: int, end: int, vm_flags: int,
             pgoff: int) -> vm_area_struct:
    vma = vm_area_alloc(mm, start, end, vm_flags, pgoff)
    vma.vm_ops = ops
    if f is not None:
        vma.vm_file = get_file(f)
    vma_link(mm, vma)
    return vma


def _new_shmem_vma(mm: mm_struct, start: int, end: int, vm_flags: int) -> vm_area_struct:
    """Map new shared anonymous memory; it is nobody else's, so there is nothing to merge with."""
    vma = vm_area_alloc(mm, start, end, vm_flags, 0)
    try:
        memory = shmem_create(mm.k, end - start >> PAGE_SHIFT)
    except OutOfFrames:
        vm_area_free(vma)
        raise
    vma.vm_ops, vma.vm_private_data = VM_OPS_SHMEM, memory.va
    vma_link(mm, vma)
    return vma


def _accountable(vm_flags: int) -> bool:
    """Tell whether a mapping's pages are promised memory: private and writable."""
    return vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE


def _count_mapped(mm: mm_struct, start: int, end: int) -> tuple[int, int]:
    """Return how many pages of a range are mapped, and how many of these are promised."""
    pages = accounted = 0
    vma = find_vma(mm, start)
    while vma is not None and vma.vm_start < end:
        n = min(end, vma.vm_end) - max(start, vma.vm_start) >> PAGE_SHIFT
        pages += n
        if vma.vm_flags & VM_ACCOUNT:
            accounted += n
        vma = vma.vm_next
    return pages, accounted


def vm_mmap(mm: mm_struct, f: file | None, va: int, size: int, prot: int, flags: int,
            offset: int) -> int:
    """Make a mapping for the kernel's own use, such as loading a program; return where it is.

    Raises:
        SyscallError, OutOfFrames: as :func:`do_mmap`; EINVAL if ``offset`` is not aligned.
    """
    if offset & PAGE_SIZE - 1 or offset + page_align(size) >= 1 << 64:
        raise SyscallError(Errno.EINVAL)
    where, populate = do_mmap(mm, f, va, size, prot, flags, offset >> PAGE_SHIFT)
    if populate:
        mm_populate(mm, where, where + page_align(size))
    return where


def map_stack(mm: mm_struct, top: int, size: int, *, executable: bool = False) -> vm_area_struct:
    """Map a new program's stack: ``size`` bytes below ``top``, growing down.

    Raises:
        SyscallError: ENOMEM: the range is taken, or RLIMIT_AS forbids it.
        OutOfFrames.
    """
    k: Kernel = mm.k
    nr_pages = size >> PAGE_SHIFT
    vm_flags = VM_DATA_FLAGS | VM_GROWSDOWN | VM_ACCOUNT | mm.def_flags
    vm_flags |= VM_EXEC if executable else 0
    if not may_expand_vm(mm, vm_flags, nr_pages):
        raise SyscallError(Errno.ENOMEM)
    vma = vm_area_alloc(mm, top - size, top, vm_flags, top - size >> PAGE_SHIFT)
    try:
        insert_vm_struct(mm, vma)
    except SyscallError:
        vm_area_free(vma)
        raise
    vm_acct_memory(k, nr_pages)
    vm_stat_account(mm, vm_flags, nr_pages)
    return vma


def install_special_mapping(mm: mm_struct, va: int, size: int, vm_flags: int,
                            pa: int) -> vm_area_struct:
    """Map frames that are never freed, such as the vDSO's, at user address ``va``.

    Args:
        vm_flags: rights; VM_DONTEXPAND is added.
        pa: the first frame; the others follow.

    Raises:
        SyscallError: ENOMEM: the range is taken.
        OutOfFrames.
    """
    vma = vm_area_alloc(mm, va, va + size, vm_flags | mm.def_flags | VM_DONTEXPAND, 0)
    vma.vm_ops, vma.vm_private_data = VM_OPS_SPECIAL, pa
    try:
        insert_vm_struct(mm, vma)
    except SyscallError:
        vm_area_free(vma)
        raise
    vm_stat_account(mm, vm_flags, size >> PAGE_SHIFT)
    return vma


# ------------------------------------------------------------------------------------ munmap

def do_munmap(mm: mm_struct, va: int, size: int) -> None:
    """Remove what is mapped in a range; nothing need be.

    Raises:
        SyscallError: EINVAL: not aligned, empty, or not in user space; ENOMEM: a split would make
            too many VMAs.
        OutOfFrames.
    """
    if va & PAGE_SIZE - 1 or va > TASK_SIZE or size > TASK_SIZE - va:
        raise SyscallError(Errno.EINVAL)
    end = va + page_align(size)
    if end == va:
        raise SyscallError(Errno.EINVAL)
    unmap_vmas(mm, va, end)


def unmap_vmas(mm: mm_struct, start: int, end: int) -> None:
    """Remove what is mapped in ``[start, end)``.

    The order matters: what can fail, splitting and making shared tables private, comes first.

    Raises:
        SyscallError: ENOMEM: there would be too many VMAs.
        OutOfFrames: nothing is unmapped, but a VMA may be split.
    """
    k: Kernel = mm.k
    vma = find_vma_intersection(mm, start, end)
    if vma is None:
        return
    if vma.vm_start < start:
        if end < vma.vm_end and mm.map_count >= k.data(vm_data).sysctl_max_map_count:
            raise SyscallError(Errno.ENOMEM)
        split_vma_unchecked(vma, start, new_below=True)
    last = find_vma_intersection(mm, end - 1, end)
    if last is not None and last.vm_end > end:
        split_vma_unchecked(last, end, new_below=False)
    unshare_edges(mm, start, end)

    first = find_vma(mm, start)
    assert first is not None
    prev = first.vm_prev
    detached: list[vm_area_struct] = []
    following: vm_area_struct | None = first
    while following is not None and following.vm_start < end:
        detached.append(following)
        following = following.vm_next
    accounted = 0
    for vma in detached:
        vma_unlink(vma)
        pages, flags = vma_pages(vma), vma.vm_flags
        vm_stat_account(mm, flags, -pages)
        if flags & VM_LOCKED:
            mm.locked_vm -= pages
        if flags & VM_ACCOUNT:
            accounted += pages
    vm_acct_memory(k, -accounted)
    zap_page_range(mm, start, end)
    free_pgtables(k, mm, start, end, 0 if prev is None else prev.vm_end,
                  USER_PGTABLES_CEILING if following is None else following.vm_start)
    for vma in detached:
        vm_area_free(vma)


# --------------------------------------------------------------------------------------- brk

def do_brk_flags(mm: mm_struct, prev: vm_area_struct | None, va: int, size: int,
                 vm_flags: int) -> None:
    """Map anonymous memory at ``[va, va + size)``, as a part of ``prev`` if that fits.

    Args:
        vm_flags: 0, or VM_EXEC.

    Raises:
        SyscallError: ENOMEM: a limit.
        OutOfFrames.
    """
    k: Kernel = mm.k
    nr_pages = size >> PAGE_SHIFT
    vm_flags |= VM_DATA_FLAGS | VM_ACCOUNT | mm.def_flags
    if (not may_expand_vm(mm, vm_flags, nr_pages)
            or mm.map_count > k.data(vm_data).sysctl_max_map_count):
        raise SyscallError(Errno.ENOMEM)
    vm_enough_memory(k, nr_pages)
    pgoff = va >> PAGE_SHIFT
    vma = None
    if prev is not None and prev.vm_end == va:
        vma = vma_merge_new_range(vma_merge_struct(
            mm, va, va + size, vm_flags, pgoff, (VM_OPS_NONE, 0, 0), prev=prev, just_expand=True))
    if vma is None:
        try:
            vma = vm_area_alloc(mm, va, va + size, vm_flags, pgoff)
        except OutOfFrames:
            vm_acct_memory(k, -nr_pages)
            raise
        vma_link(mm, vma)
    vm_stat_account(mm, vm_flags, nr_pages)
    if vm_flags & VM_LOCKED:
        mm.locked_vm += nr_pages


def vm_brk_flags(mm: mm_struct, va: int, size: int, vm_flags: int = 0) -> None:
    """Map zeros at ``va``, replacing what is there: a program's .bss.

    Args:
        vm_flags: 0, or VM_EXEC.

    Raises:
        SyscallError: ENOMEM: a limit, or no such place in user space.
        OutOfFrames.
    """
    length = page_align(size)
    if length < size:
        raise SyscallError(Errno.ENOMEM)
    if not length:
        return
    get_unmapped_area(mm, va, length, MAP_FIXED)
    do_munmap(mm, va, length)
    prev, _ = find_vma_prev(mm, va)
    do_brk_flags(mm, prev, va, length, vm_flags)
    if mm.def_flags & VM_LOCKED:
        mm_populate(mm, va, va + length)


def do_brk(mm: mm_struct, brk: int) -> int:
    """Move the end of the heap to ``brk``, if that is possible; return where it is now.

    Raises:
        OutOfFrames.
    """
    old_brk = mm.brk
    if brk < mm.start_brk:
        return old_brk
    limit = rlimit(mm.k, RLIMIT_DATA)
    if limit < RLIM_INFINITY and (
            brk - mm.start_brk + mm.end_data - mm.start_data > limit):
        return old_brk
    new_end, old_end = page_align(brk), page_align(old_brk)
    if new_end != old_end:
        try:
            if brk <= old_brk:
                heap = find_vma_intersection(mm, new_end, old_end)
                if heap is None:
                    return old_brk
                unmap_vmas(mm, new_end, old_end)
            else:
                _grow_brk(mm, old_end, new_end)
        except SyscallError:
            return old_brk
    mm.brk = brk
    return brk


def _grow_brk(mm: mm_struct, old_end: int, new_end: int) -> None:
    if new_end < old_end:
        raise SyscallError(Errno.ENOMEM)  # wrapped
    size = new_end - old_end
    get_unmapped_area(mm, old_end, size, MAP_FIXED)
    if not mlock_future_ok(mm, mm.def_flags, size):
        raise SyscallError(Errno.EAGAIN)
    following = find_vma(mm, old_end)
    # A page stays free behind the heap.
    if following is not None and new_end + PAGE_SIZE > vm_start_gap(following):
        raise SyscallError(Errno.ENOMEM)
    prev, _ = find_vma_prev(mm, old_end)
    if prev is not None and prev.vm_end <= mm.start_brk:
        prev = None  # what lies below the heap is never a part of it
    do_brk_flags(mm, prev, old_end, size, 0)
    if mm.def_flags & VM_LOCKED:
        mm_populate(mm, old_end, new_end)


# --------------------------------------------------------------------------- System calls

def current_mm(current: task_struct) -> mm_struct:
    """Return the calling task's address space."""
    mm = current.mm
    assert mm is not None  # kernel threads make no system calls
    return mm


@SYSCALL_DEFINE
def sys_mmap(current: task_struct, addr: ULong, length: ULong, prot: ULong, flags: ULong,
             fd: ULong, offset: ULong) -> int:
    """Map a file or anonymous memory.  See mmap(2).

    Limits: no huge pages: MAP_HUGETLB is EINVAL.
    """
    if offset & PAGE_SIZE - 1:
        raise SyscallError(Errno.EINVAL)
    f = None
    if not flags & MAP_ANONYMOUS:
        f = _fget(current, fd & 0xFFFF_FFFF)
    if flags & MAP_HUGETLB:
        raise SyscallError(Errno.EINVAL)
    mm = current_mm(current)
    try:
        va, populate = do_mmap(mm, f, addr, length, prot, flags, offset >> PAGE_SHIFT)
        if populate:
            mm_populate(mm, va, va + page_align(length))
    except OutOfFrames:
        raise SyscallError(Errno.ENOMEM) from None
    return va


def _fget(current: task_struct, fd: int) -> file:
    """Return the file that the descriptor names.

    Raises:
        SyscallError: EBADF: none, or one that names only a place (O_PATH).
    """
    k: Kernel = current.k
    files = current.files
    assert files is not None
    table = files.fdt
    if fd < table.max_fds:
        at = k.u64[((table.fd & PHYSICAL_MASK) >> 3) + fd]
        if at:
            f = file.at(k, at)
            if not f.f_mode & FMODE_PATH:
                return f
    raise SyscallError(Errno.EBADF)


@SYSCALL_DEFINE
def sys_munmap(current: task_struct, addr: ULong, length: ULong) -> int:
    """Remove mappings.  See munmap(2)."""
    try:
        do_munmap(current_mm(current), addr, length)
    except OutOfFrames:
        raise SyscallError(Errno.ENOMEM) from None
    return 0


@SYSCALL_DEFINE
def sys_brk(current: task_struct, brk: ULong) -> int:
    """Set the end of the heap; answer where it is.  See brk(2), "C library/kernel differences"."""
    mm = current_mm(current)
    try:
        return do_brk(mm, brk)
    except OutOfFrames:
        return mm.brk
