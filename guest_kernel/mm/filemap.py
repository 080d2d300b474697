"""The page cache: a file's bytes as frames of RAM, shared by read(2), write(2) and mappings.

``address_space.i_pages`` maps a page index to the direct-map address of a frame, on which the cache
holds one reference.  The cache is the only copy: no file system here has a disk, so a page that is
absent is a hole and reads as zeros, and nothing is ever written back or reclaimed.

Invariant: in the last page of a file, the bytes behind ``i_size`` are zeros as far as the kernel
writes them; truncation and growth clear them, since a shared mapping may have changed them.

The memory manager knows of files what this module gives it: :func:`vma_file_page`,
:func:`get_file` and :func:`fput`.

See: Linux mm/filemap.c, mm/truncate.c, fs/libfs.c (simple_write_begin, ram_aops).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import Ops, address_space, file, inode
from guest_kernel.layout.page import PG_held_code, mm_data, page
from guest_kernel.lib.xarray import xa_erase, xa_for_each, xa_load, xa_load_pa, xa_store
from guest_kernel.mm.iov_iter import iov_iter, kiocb
from guest_kernel.mm.page_alloc import (
    OutOfFrames,
    alloc_page,
    alloc_pages_bulk,
    get_page,
    get_zeroed_page,
    put_page,
    release_pages,
)

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_OFFSET: Final = PAGE_SIZE - 1  # mask of an offset in a page
_ZERO_PAGE: Final = memoryview(bytes(PAGE_SIZE))

_I_SIZE: Final = inode.offsetof("i_size")
_I_MAPPING: Final = inode.offsetof("i_mapping")
_I_PAGES: Final = address_space.offsetof("i_pages")
_NRPAGES: Final = address_space.offsetof("nrpages")
_I_MMAP: Final = address_space.offsetof("i_mmap")
_F_COUNT: Final = file.offsetof("f_count")
_F_INODE: Final = file.offsetof("f_inode")
_HELD_CODE: Final = 1 << PG_held_code
_PAGE_MAPPING: Final = page.offsetof("mapping")
_PAGE_INDEX: Final = page.offsetof("index")


# ---- What the memory manager and the file systems tell each other.
#
# fs imports mm, never the other way round, so each of these is a function that its owner registers
# when it is imported.

_release_file: Callable[[file], None] | None = None
_unmap_mapping_range: Callable[[address_space, int, int], None] | None = None


def register_release_file(function: Callable[[file], None]) -> None:
    """Let ``function`` free a file whose last reference is gone."""
    global _release_file
    _release_file = function


def register_unmap_mapping_range(function: Callable[[address_space, int, int], None]) -> None:
    """Let ``function(mapping, holebegin, holelen)`` unmap bytes of a file from all VMAs."""
    global _unmap_mapping_range
    _unmap_mapping_range = function


def get_file(f: file) -> file:
    """Take a reference to an open file."""
    f.k.i64[(f.pa + _F_COUNT) >> 3] += 1
    return f


def fput(f: file) -> None:
    """Drop a reference to an open file; the last one closes it."""
    fput_pa(f.k, f.pa)


def fput_pa(k: Kernel, f: int) -> None:
    """Do as :func:`fput` with the file at a physical address."""
    i64, at = k.i64, (f + _F_COUNT) >> 3
    i64[at] = left = i64[at] - 1
    if left <= 0:
        _last_reference(file(k, f), left)


def _last_reference(f: file, left: int) -> None:
    if left < 0:
        BUG(f"{f!r}: f_count is {left}")
    if _release_file is None:
        BUG(f"{f!r}: nobody has registered to release files")
    _release_file(f)


def vma_file_page(f: file, index: int) -> int:
    """Return the frame of page ``index`` of a mapped file, with a reference for the caller.

    A hole gets a frame, since a mapping may write it later.

    Returns:
        Its physical address; 0: the page lies behind the end of the file (SIGBUS).

    Raises:
        OutOfFrames: a hole could not be filled.
    """
    k = f.k
    host = k.u64[(f.pa + _F_INODE) >> 3] & PHYSICAL_MASK
    if index << PAGE_SHIFT >= k.i64[(host + _I_SIZE) >> 3]:
        return 0
    mapping = address_space(k, k.u64[(host + _I_MAPPING) >> 3] & PHYSICAL_MASK)
    pa = filemap_get_page(mapping, index)
    get_page(k, pa)
    return pa


def file_can_mmap(f: file) -> bool:
    """Tell whether the file has pages that a mapping can share (else mmap(2) is ENODEV)."""
    mapping = f.f_mapping
    return mapping is not None and mapping.a_ops != Ops.NONE


# ---- Pages


def filemap_get_entry(mapping: address_space, index: int) -> int:
    """Return the physical address of a cached page; 0: it is a hole.  Takes no reference."""
    return xa_load(mapping.i_pages, index) & PHYSICAL_MASK


def filemap_get_page(mapping: address_space, index: int) -> int:
    """Return the physical address of a page, which is made if it is a hole.  Takes no reference.

    Raises:
        OutOfFrames: no frame for a hole.
    """
    pa = xa_load_pa(mapping.k, mapping.pa + _I_PAGES, index) & PHYSICAL_MASK
    if not pa:
        k = mapping.k
        pa = get_zeroed_page(k)
        try:
            filemap_add_page(mapping, index, pa)
        except OutOfFrames:
            put_page(k, pa)
            raise
    return pa


def filemap_add_page(mapping: address_space, index: int, pa: int) -> None:
    """Give a frame to the cache, the caller's reference with it, in place of a hole.

    Raises:
        OutOfFrames: the xarray could not grow; the caller keeps its reference.
    """
    k = mapping.k
    xa_store(mapping.i_pages, index, pa + PAGE_OFFSET)
    k.u64[(mapping.pa + _NRPAGES) >> 3] += 1
    record = _page(k, pa)
    k.u64[(record + _PAGE_MAPPING) >> 3] = mapping.va
    k.u64[(record + _PAGE_INDEX) >> 3] = index


def filemap_add_pages(mapping: address_space, index: int, data: memoryview) -> None:
    """Fill holes from ``index`` on with a copy of ``data``; the last page is padded with zeros.

    Raises:
        OutOfFrames: what was added until then stays.
    """
    k = mapping.k
    u8, size = k.u8, len(data)
    pas = alloc_pages_bulk(k, -(-size // PAGE_SIZE))
    for done, pa in enumerate(pas):
        offset = done << PAGE_SHIFT
        if size - offset >= PAGE_SIZE:
            u8[pa : pa + PAGE_SIZE] = data[offset : offset + PAGE_SIZE]
        else:
            u8[pa : pa + size - offset] = data[offset:]
            u8[pa + size - offset : pa + PAGE_SIZE] = bytes(PAGE_SIZE - (size - offset))
        try:
            filemap_add_page(mapping, index + done, pa)
        except OutOfFrames:
            release_pages(k, pas[done:])
            raise


def filemap_remove_page(mapping: address_space, index: int) -> None:
    """Make a cached page a hole."""
    k = mapping.k
    pa = xa_erase(mapping.i_pages, index) & PHYSICAL_MASK
    if not pa:
        BUG(f"{mapping!r}: page {index} is not in the cache")
    k.u64[(mapping.pa + _NRPAGES) >> 3] -= 1
    record = _page(k, pa)
    k.u64[(record + _PAGE_MAPPING) >> 3] = 0
    k.u64[(record + _PAGE_INDEX) >> 3] = 0
    put_page(k, pa)


def _page(k: Kernel, pa: int) -> int:
    """Return the physical address of a frame's ``struct page``."""
    mem_map: int = k.data(mm_data).mem_map
    return (mem_map & PHYSICAL_MASK) + (pa >> PAGE_SHIFT) * page.size


def _flush_code(k: Kernel, pa: int) -> None:
    """Drop the CPU's translations of a page whose bytes have changed, if there may be any.

    The flag stays: the page may be mapped, and be translated again.
    """
    if k.u64[_page(k, pa) >> 3] & _HELD_CODE:
        k.flush_code(pa)


# ---- read and write


def generic_file_read_iter(iocb: kiocb, to: iov_iter) -> int:
    """Read from the page cache.

    Returns:
        Bytes read; 0 at or behind the end of the file.

    Raises:
        SyscallError: EFAULT: user memory faulted at the first byte.
    """
    f = iocb.ki_filp
    k = f.k
    u8 = k.u8
    host = k.u64[(f.pa + _F_INODE) >> 3] & PHYSICAL_MASK
    pages = (k.u64[(host + _I_MAPPING) >> 3] & PHYSICAL_MASK) + _I_PAGES
    pos = start = iocb.ki_pos
    end = min(k.i64[(host + _I_SIZE) >> 3], pos + to.count)
    while pos < end:
        offset = pos & _OFFSET
        size = min(PAGE_SIZE - offset, end - pos)
        pa = xa_load_pa(k, pages, pos >> PAGE_SHIFT) & PHYSICAL_MASK
        if pa:
            moved = to.copy_to_iter(u8[pa + offset : pa + offset + size])
        else:
            moved = to.copy_to_iter(_ZERO_PAGE[:size])
        pos += moved
        if moved < size:
            if pos == start:
                raise SyscallError(Errno.EFAULT)
            break
    iocb.ki_pos = pos
    return pos - start


def generic_perform_write(iocb: kiocb, source: iov_iter) -> int:
    """Write into the page cache; the file grows as far as bytes arrive.

    Returns:
        Bytes written.

    Raises:
        SyscallError: nothing was written, because of EFAULT: user memory faulted at the first
            byte; ENOMEM: no frame.
    """
    f = iocb.ki_filp
    k = f.k
    host = k.u64[(f.pa + _F_INODE) >> 3] & PHYSICAL_MASK
    mapping = address_space(k, k.u64[(host + _I_MAPPING) >> 3] & PHYSICAL_MASK)
    pos = start = iocb.ki_pos
    i_size = (host + _I_SIZE) >> 3
    if pos > k.i64[i_size] and source.count:
        _clear_tail(mapping, k.i64[i_size])  # what a shared mapping left behind the old end
    error = None
    while source.count and error is None:
        offset = pos & _OFFSET
        size = min(PAGE_SIZE - offset, source.count)
        data = source.copy_from_iter(size)
        if data:
            try:
                _write_page(k, mapping, pos, data)
            except OutOfFrames:
                error = Errno.ENOMEM
                continue
            pos += len(data)
            if pos > k.i64[i_size]:
                k.i64[i_size] = pos
        if len(data) < size:
            error = Errno.EFAULT
    if pos == start and error is not None:
        raise SyscallError(error)
    iocb.ki_pos = pos
    return pos - start


def _write_page(k: Kernel, mapping: address_space, pos: int, data: bytes) -> None:
    """Store ``data``, which does not cross a page, at byte ``pos`` of the file."""
    index, offset = pos >> PAGE_SHIFT, pos & _OFFSET
    pa = xa_load_pa(mapping.k, mapping.pa + _I_PAGES, index) & PHYSICAL_MASK
    if pa:
        k.u8[pa + offset : pa + offset + len(data)] = data
        _flush_code(k, pa)
        return
    pa = alloc_page(k) if len(data) == PAGE_SIZE else get_zeroed_page(k)
    k.u8[pa + offset : pa + offset + len(data)] = data
    try:
        filemap_add_page(mapping, index, pa)
    except OutOfFrames:
        put_page(k, pa)
        raise


# ---- truncation


def truncate_setsize(host: inode, size: int) -> None:
    """Set ``i_size`` and drop what lies behind it.

    Preconditions:
        The size has been checked against the limits.
    """
    old = host.i_size
    host.i_size = size
    if size > old:
        _clear_tail(host.i_mapping, old)  # what a shared mapping left behind the old end
    else:
        truncate_pagecache(host, size)


def truncate_pagecache(host: inode, size: int) -> None:
    """Free the pages behind ``size`` and clear the end of the page in which it lies."""
    mapping = host.i_mapping
    unmap_mapping_range(mapping, -(-size // PAGE_SIZE) * PAGE_SIZE, 0)
    truncate_inode_pages(mapping, size)


def truncate_inode_pages(mapping: address_space, lstart: int) -> None:
    """Drop all pages from byte ``lstart`` on; clear the end of the page in which it lies."""
    if not mapping.nrpages:
        return
    first = -(-lstart // PAGE_SIZE)
    for index in [index for index, _ in xa_for_each(mapping.i_pages, first)]:
        filemap_remove_page(mapping, index)
    _clear_tail(mapping, lstart)


def unmap_mapping_range(mapping: address_space, holebegin: int, holelen: int) -> None:
    """Unmap bytes of a file from all address spaces.

    Args:
        holebegin: first byte; a multiple of the page size.
        holelen: bytes; 0: to the end.
    """
    at = mapping.pa + _I_MMAP
    if mapping.k.u64[at >> 3] & PHYSICAL_MASK == at:  # an empty list
        return
    if _unmap_mapping_range is None:
        BUG(f"{mapping!r} is mapped, and nobody has registered to unmap it")
    _unmap_mapping_range(mapping, holebegin, holelen)


def _clear_tail(mapping: address_space, size: int) -> None:
    """Clear the page in which byte ``size`` lies from there on."""
    offset = size & _OFFSET
    if offset:
        pa = filemap_get_entry(mapping, size >> PAGE_SHIFT)
        if pa:
            mapping.k.u8[pa + offset : pa + PAGE_SIZE] = _ZERO_PAGE[offset:]
            _flush_code(mapping.k, pa)
