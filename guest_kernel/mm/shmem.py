"""Memory behind MAP_SHARED | MAP_ANONYMOUS mappings.

Linux makes a nameless file in a tmpfs of its own for each such mapping.  Here it is a counted page
cache without a file.  Its frames live until the last mapping of it, in whatever process, is gone;
each VMA holds one reference.

See: Linux mm/shmem.c shmem_zero_setup().
"""

from __future__ import annotations

from guest_kernel.kernel import Kernel
from guest_kernel.layout.mm_types import shmem
from guest_kernel.mm.filemap import (
    filemap_get_entry,
    filemap_get_page,
    filemap_remove_page,
    truncate_inode_pages,
)
from guest_kernel.mm.page_alloc import get_page
from guest_kernel.mm.slab import kfree, kzalloc


def shmem_create(k: Kernel, nr_pages: int) -> shmem:
    """Return new memory of ``nr_pages``, all zeros, with one reference.

    Raises:
        OutOfFrames.
    """
    memory = kzalloc(k, shmem)
    memory.refcount = 1
    memory.nr_pages = nr_pages
    return memory


def shmem_get(memory: shmem) -> None:
    """Take a reference."""
    memory.refcount += 1


def shmem_put(memory: shmem) -> None:
    """Drop a reference; the last one frees the frames that no page table maps."""
    memory.refcount -= 1
    if not memory.refcount:
        truncate_inode_pages(memory.i_data, 0)
        kfree(memory)


def shmem_page(memory: shmem, index: int) -> int:
    """Return the frame of page ``index``, with a reference for the caller.

    Returns:
        Its physical address; 0: the memory is smaller (SIGBUS: mremap may make a VMA larger).

    Raises:
        OutOfFrames.
    """
    if index >= memory.nr_pages:
        return 0
    pa = filemap_get_page(memory.i_data, index)
    get_page(memory.k, pa)
    return pa


def shmem_is_resident(memory: shmem, index: int) -> bool:
    """Tell whether page ``index`` holds a frame."""
    return bool(filemap_get_entry(memory.i_data, index))


def shmem_punch_hole(memory: shmem, first: int, last: int) -> None:
    """Let pages ``[first, last)`` be zeros again.  See madvise(2), MADV_REMOVE."""
    for index in range(first, min(last, memory.nr_pages)):
        if filemap_get_entry(memory.i_data, index):
            filemap_remove_page(memory.i_data, index)
