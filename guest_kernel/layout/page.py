"""What the page and slab allocators keep: ``struct page``, the free lists, the slab caches.

Names are Linux's, from include/linux/mm_types.h, mmzone.h and slub_def.h.  ``struct page`` has
Linux's size and offsets; the last eight bytes, where Linux has ``memcg_data``, hold what Linux
keeps in tail pages or packs into bit fields.

A ``struct page`` that is all zeros is a free frame that no list holds yet, so ``mem_map`` needs no
initialisation and an untouched part of it costs the host nothing.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.declare import (
    I32,
    U32,
    U64,
    Array,
    Chars,
    Embed,
    EmbedArray,
    Ptr,
    Struct,
    VoidPtr,
)
from guest_kernel.layout.list import list_head

# Bit numbers of page.flags.  The names are Linux's; the numbers, which differ from one version of
# Linux to the next, are ours.
PG_locked: Final = 0  # in use for input or output
PG_writeback: Final = 1  # being written to its file
PG_referenced: Final = 2  # used since reclaim last looked
PG_uptodate: Final = 3  # the contents are the file's
PG_dirty: Final = 4  # the contents are newer than the file's
PG_lru: Final = 5  # on a list of reclaimable pages, through lru
PG_head: Final = 6  # the first page of an allocation of several
PG_slab: Final = 7  # the (first) page of a slab
PG_buddy: Final = 8  # the first page of a free block; private is its order
PG_reserved: Final = 9  # never free: the image, mem_map, holes
PG_private: Final = 10  # private belongs to the file system
PG_swapbacked: Final = 11  # anonymous or tmpfs: no file to write it to
PG_held_code: Final = 12  # ours: the CPU may hold translations of code that was here

PAGE_FLAG_NAMES: Final = {bit: name for name, bit in list(globals().items()) if name[:3] == "PG_"}

MAX_PAGE_ORDER: Final = 10
NR_PAGE_ORDERS: Final = MAX_PAGE_ORDER + 1
MAX_ORDER_NR_PAGES: Final = 1 << MAX_PAGE_ORDER

SLAB_NAME_MAX: Final = 32  # with its NUL
SHEAF_CAPACITY: Final = 8
KMALLOC_SHIFT_LOW: Final = 3
KMALLOC_SHIFT_HIGH: Final = 13
OO_SHIFT: Final = 16  # of the order in kmem_cache_order_objects.x


class page(Struct):
    """What is known of one frame of RAM.  ``mem_map`` is an array of them, by frame number.

    Who holds the frame decides what a field means: a block of the buddy allocator, the per-CPU
    list, a slab (fields marked "slab"), or whoever called ``alloc_pages``.
    """

    flags = U64("1 << PG_*")
    lru = Embed(list_head, "free: a free list; slab: the cache's partial list; else the owner's")
    compound_head = VoidPtr("page but the first of several: the first one's address | 1",
                            overlay="lru", ctype="unsigned long")
    mapping = VoidPtr("what it caches a page of, or NULL", ctype="struct address_space *")
    slab_cache = Ptr(lambda: kmem_cache, "slab: the cache that it belongs to", overlay="mapping")
    index = U64("its place in mapping, in pages")
    freelist = VoidPtr("slab: the first free object, or NULL", overlay="index")
    private = U64("PG_buddy: the block's order; else the owner's")
    inuse = U64("slab: objects that are not free", overlay="private")
    _mapcount = I32("allocated: user page-table entries that map it, less one")
    _refcount = I32("references; 0 if free, and in all but the first page of several")
    objects = U32("slab: objects that fit")
    compound_order = U32("PG_head: log2 of the number of pages")


class free_area(Struct):
    """The free blocks of one order: aligned runs of ``1 << order`` frames."""

    free_list = Embed(list_head, "their first pages, through lru")
    nr_free = U64("how many")


class per_cpu_pages(Struct):
    """Single free frames that are not in the buddy allocator's lists, for speed."""

    count = U64("how many")
    list = Embed(list_head, "through lru; the most recently freed is first")


class kmem_cache_order_objects(Struct):
    """Two numbers in one word, as Linux has them."""

    x = U32("order of a slab << OO_SHIFT | objects in a slab")


class kmem_cache(Struct):
    """A slab cache: objects of one size.

    Slabs with a free object are on ``partial``; full ones are on no list and are found through
    their objects' pages.  Two names differ from Linux's: a :class:`Struct` has attributes ``size``
    and ``align`` of its own.
    """

    partial = Embed(list_head, "slabs with a free object, through page.lru; empty ones are last")
    stride = U32("bytes from one object to the next (Linux: size)")
    object_size = U32("bytes of an object without padding")
    slab_shift = U32("log2 of the bytes of a slab; a slab is aligned to its size")
    oo = Embed(kmem_cache_order_objects, "order of a slab, objects in it")
    alignment = U32("of an object, bytes; a power of two (Linux: align)")
    offset = U32("of the pointer to the next free object in a free object: always 0")
    nr_partial = U64("slabs on partial")
    nr_empty = U64("slabs on partial without an object in use: 0 or 1")
    nr_slabs = U64("slabs, full ones included")
    list = Embed(list_head, "mm_data.slab_caches")
    name = Chars(SLAB_NAME_MAX, "for people, and for finding the cache again")
    sheaf_size = U64("free objects in sheaf")
    sheaf = Array(U64, SHEAF_CAPACITY, "free objects at hand; the last one is the first to go",
                  ctype="void *")


class mm_data(Struct):
    """The globals of the page and slab allocators."""

    mem_map = VoidPtr("that of frame 0; those of all other frames follow", ctype="struct page *")
    max_pfn = U64("frames of RAM")
    totalram_pages = U64("frames that are not reserved")
    nr_free_pages = U64("free frames but those on pcp")
    first_deferred_pfn = U64("frames from here on are free, if not reserved, but in no free_area")
    peak_used_pages = U64("most frames that were ever in use or on pcp")
    nr_slab_pages = U64("frames in slabs")
    free_area = EmbedArray(free_area, NR_PAGE_ORDERS, "free blocks by order")
    pcp = Embed(per_cpu_pages, "single frames at hand")
    slab_caches = Embed(list_head, "every kmem_cache, through its list, oldest first")
    kmalloc_caches = Array(U64, KMALLOC_SHIFT_HIGH + 1,
                           "[n] of 1 << n bytes, [1] of 96, [2] of 192",
                           ctype="struct kmem_cache *")
    boot_kmem_cache = Embed(kmem_cache, "the cache of struct kmem_cache")
