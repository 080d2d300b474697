"""The slab allocator: objects of a few bytes up to several pages.

A *slab* is one block of the page allocator, cut into objects of one size; a *cache* is all slabs
of one kind.  What is known of a slab is in the ``struct page`` of its first page: the cache, the
number of objects in use and the first free object.  A free object's first word leads to the next.
Slabs with a free object are on their cache's ``partial`` list.  A cache keeps at most one slab
without objects in use; other empty slabs go back to the page allocator at once.

The word in a free object is the next one's address XOR :data:`FREELIST_MASK`, as with Linux's
CONFIG_SLAB_FREELIST_HARDENED, so that ordinary data hardly ever looks like it.  That makes two
bugs visible for the price of one read each: an object freed twice, and an object written after it
was freed.

Each structure has a cache named after its class, made when the first one is allocated, so
``struct task_struct`` lies where a debugger's ``slab_caches`` says.  Such a cache has a *sheaf*,
too: the few objects that were freed last, to be given out again without a look at their slabs,
where they count as in use.  Their words are the mask, as if there were no next one.

See: Linux mm/slub.c, mm/slab_common.c.  Unlike Linux there are no per-CPU slabs (there is one CPU)
and caches are not merged.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn, TypeVar

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG, BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, Struct
from guest_kernel.layout.page import (
    KMALLOC_SHIFT_HIGH,
    KMALLOC_SHIFT_LOW,
    MAX_PAGE_ORDER,
    OO_SHIFT,
    SHEAF_CAPACITY,
    SLAB_NAME_MAX,
    PG_head,
    PG_slab,
    kmem_cache,
    mm_data,
    page,
)
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    list_add_tail,
    list_add_va,
    list_del_va,
    list_for_each_entry,
    list_move_tail,
)
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages, free_pages

S = TypeVar("S", bound=Struct)

# Outside the bits in which the addresses of a slab's objects differ.
FREELIST_MASK: Final = 0x5A5A_A5A5_0000_0005
# A free object's word above the bits in which addresses differ: of the last one, of any other.
_ADDRESS_BITS: Final = PHYSICAL_MASK.bit_length()
_LOOKS_FREE: Final = tuple(
    (FREELIST_MASK ^ following) >> _ADDRESS_BITS for following in (0, PAGE_OFFSET))

KMALLOC_MAX_CACHE_SIZE: Final = 1 << KMALLOC_SHIFT_HIGH
KMALLOC_MAX_SIZE: Final = PAGE_SIZE << MAX_PAGE_ORDER
ARCH_SLAB_MINALIGN: Final = 8

# A slab has at least eight objects unless that takes more than eight pages.
_MIN_OBJECTS: Final = 8
_COSTLY_ORDER: Final = 3

# Offsets in words of 8 bytes, for indexing k.u64, or of 4, for k.u32.
_MEM_MAP: Final = mm_data.offsetof("mem_map") >> 3
_NR_SLAB_PAGES: Final = mm_data.offsetof("nr_slab_pages") >> 3
_KMALLOC_CACHES: Final = mm_data.offsetof("kmalloc_caches") >> 3
_LRU: Final = page.offsetof("lru") >> 3
_SLAB_CACHE: Final = page.offsetof("slab_cache") >> 3
_FREELIST: Final = page.offsetof("freelist") >> 3
_INUSE: Final = page.offsetof("inuse") >> 3
_FREELIST_FROM_LRU: Final = _FREELIST - _LRU
_INUSE_FROM_LRU: Final = _INUSE - _LRU
_OBJECTS_U32: Final = page.offsetof("objects") >> 2
_ORDER_U32: Final = page.offsetof("compound_order") >> 2
_PARTIAL: Final = kmem_cache.offsetof("partial") >> 3
_NR_PARTIAL: Final = kmem_cache.offsetof("nr_partial") >> 3
_NR_EMPTY: Final = kmem_cache.offsetof("nr_empty") >> 3
_NR_SLABS: Final = kmem_cache.offsetof("nr_slabs") >> 3
_STRIDE_U32: Final = kmem_cache.offsetof("stride") >> 2
_SLAB_SHIFT_U32: Final = kmem_cache.offsetof("slab_shift") >> 2
_SHEAF_SIZE: Final = kmem_cache.offsetof("sheaf_size") >> 3
_SHEAF: Final = kmem_cache.offsetof("sheaf") >> 3
_PAGE_WORDS_SHIFT: Final = 3
_WORD_TO_PA: Final = PAGE_SHIFT - _PAGE_WORDS_SHIFT
_SLAB: Final = 1 << PG_slab
_HEAD: Final = 1 << PG_head


# Caches


def kmem_cache_init(k: Kernel) -> None:
    """Set up the slab allocator and the ``kmalloc`` caches.  ``mem_init`` has run."""
    mm = k.data(mm_data)
    INIT_LIST_HEAD(mm.slab_caches)
    _init_cache(mm.boot_kmem_cache, b"kmem_cache", kmem_cache.size, kmem_cache.align)
    sizes = {1: 96, 2: 192}
    sizes |= {n: 1 << n for n in range(KMALLOC_SHIFT_LOW, KMALLOC_SHIFT_HIGH + 1)}
    for index, size in sorted(sizes.items(), key=lambda item: item[1]):
        align = size & -size
        cache = kmem_cache_create(k, f"kmalloc-{size}", size, align)
        mm.kmalloc_caches[index] = kmem_cache(k, cache).va


def kmem_cache_create(k: Kernel, name: str, size: int, align: int = 0) -> int:
    """Make a cache of objects of ``size`` bytes and return its physical address.

    Args:
        name: at most 31 characters; no other cache has it.
        align: bytes, a power of two; at least 8 is taken.

    Raises:
        OutOfFrames: no frame for the cache itself.
    """
    mm = k.data(mm_data)
    BUG_ON(find_slab_cache(k, name) is not None, f"kmem_cache {name}: exists")
    cache = kmem_cache(k, kmem_cache_alloc(k, mm.boot_kmem_cache.pa))
    cache.clear()
    _init_cache(cache, name.encode(), size, align)
    return cache.pa


def _init_cache(cache: kmem_cache, name: bytes, size: int, align: int) -> None:
    align = max(align, ARCH_SLAB_MINALIGN)
    BUG_ON(bool(align & (align - 1)), f"kmem_cache {name!r}: align {align}")
    BUG_ON(not 0 < size <= KMALLOC_MAX_SIZE, f"kmem_cache {name!r}: size {size}")
    BUG_ON(len(name) >= SLAB_NAME_MAX, f"kmem_cache {name!r}: name is too long")
    stride = -(-size // align) * align
    order = _slab_order(stride)
    INIT_LIST_HEAD(cache.partial)
    cache.stride, cache.object_size, cache.alignment = stride, size, align
    cache.slab_shift = PAGE_SHIFT + order
    cache.oo.x = order << OO_SHIFT | (PAGE_SIZE << order) // stride
    cache.name = name
    mm = cache.k.data(mm_data)
    list_add_tail(cache.list, mm.slab_caches)


def _slab_order(size: int) -> int:
    """Return the lowest order at which a slab has enough objects and wastes at most an eighth."""
    for order in range(_COSTLY_ORDER + 1):
        slab = PAGE_SIZE << order
        if slab // size >= _MIN_OBJECTS and slab % size <= slab // 8:
            return order
    return max(_COSTLY_ORDER, (-(-size // PAGE_SIZE) - 1).bit_length())


def find_slab_cache(k: Kernel, name: str) -> kmem_cache | None:
    """Return the cache of that name, if there is one."""
    wanted = name.encode()
    for cache in for_each_slab_cache(k):
        if cache.name == wanted:
            return cache
    return None


def for_each_slab_cache(k: Kernel) -> Iterator[kmem_cache]:
    """Yield every cache, oldest first."""
    return list_for_each_entry(k.data(mm_data).slab_caches, kmem_cache, "list")


def kmem_cache_usage(cache: kmem_cache) -> tuple[int, int]:
    """Return how many objects of ``cache`` are in use, and how many its slabs have room for."""
    total = cache.nr_slabs * (cache.oo.x & (1 << OO_SHIFT) - 1)
    free = sum(s.objects - s.inuse for s in list_for_each_entry(cache.partial, page, "lru"))
    return total - free - cache.sheaf_size, total


def kmem_cache_shrink(k: Kernel, cache: int) -> None:
    """Give what ``cache`` keeps back: its sheaf to the slabs, then the empty slab to the pages."""
    ref = kmem_cache(k, cache)
    for va in ref.sheaf[: ref.sheaf_size].tolist():
        ref.sheaf_size -= 1
        k.u64[(va & PHYSICAL_MASK) >> 3] = 0
        kmem_cache_free(k, va & PHYSICAL_MASK)
    for slab in list_for_each_entry(ref.partial, page, "lru"):
        if not slab.inuse:
            ref.nr_empty -= 1
            _discard_slab(k, cache, slab.pa >> 3)


def shrink_slabs(k: Kernel) -> None:
    """Give back what every cache keeps."""
    for cache in for_each_slab_cache(k):
        kmem_cache_shrink(k, cache.pa)


# Objects


def kmem_cache_alloc(k: Kernel, cache: int) -> int:
    """Return the physical address of a new object of the cache at ``cache``.

    Its contents are undefined.

    Raises:
        OutOfFrames: no frames for a new slab.
    """
    u64 = k.u64
    c = cache >> 3
    lru = ((u64[c] & PHYSICAL_MASK) >> 3) if u64[c + _NR_PARTIAL] else _new_slab(k, cache)
    va = u64[lru + _FREELIST_FROM_LRU]
    pa = va & PHYSICAL_MASK
    word = pa >> 3
    u64[lru + _FREELIST_FROM_LRU] = following = u64[word] ^ FREELIST_MASK
    u64[word] = 0  # what lies in an object in use should not look like a free one's word
    u64[lru + _INUSE_FROM_LRU] = inuse = u64[lru + _INUSE_FROM_LRU] + 1
    if not following:
        u64[c + _NR_PARTIAL] -= 1
        list_del_va(u64, PAGE_OFFSET + (lru << 3))
    elif (following ^ va) >> k.u32[(cache >> 2) + _SLAB_SHIFT_U32]:
        _bad_object(k, cache, pa, "written after it was freed")
    if inuse == 1:
        u64[c + _NR_EMPTY] -= 1
    return pa


def kmem_cache_alloc_bulk(k: Kernel, cache: int, n: int) -> list[int]:
    """Return ``n`` new objects, each as from ``kmem_cache_alloc``; faster.

    Raises:
        OutOfFrames: no frames for a new slab; none has been taken.
    """
    u64 = k.u64
    c = cache >> 3
    shift = k.u32[(cache >> 2) + _SLAB_SHIFT_U32]
    objects: list[int] = []
    while n:
        try:
            lru = ((u64[c] & PHYSICAL_MASK) >> 3) if u64[c + _NR_PARTIAL] else _new_slab(k, cache)
        except OutOfFrames:
            kmem_cache_free_bulk(k, objects)
            raise
        inuse = taken = u64[lru + _INUSE_FROM_LRU]
        va = u64[lru + _FREELIST_FROM_LRU]
        while n and va:
            pa = va & PHYSICAL_MASK
            following = u64[pa >> 3] ^ FREELIST_MASK
            if following and (following ^ va) >> shift:
                _bad_object(k, cache, pa, "written after it was freed")
            u64[pa >> 3] = 0
            objects.append(pa)
            va = following
            taken += 1
            n -= 1
        u64[lru + _FREELIST_FROM_LRU] = va
        u64[lru + _INUSE_FROM_LRU] = taken
        if not va:
            u64[c + _NR_PARTIAL] -= 1
            list_del_va(u64, PAGE_OFFSET + (lru << 3))
        if not inuse:
            u64[c + _NR_EMPTY] -= 1
    return objects


def kmem_cache_free_bulk(k: Kernel, objects: Iterable[int]) -> None:
    """Free objects of one cache, each as ``kmem_cache_free`` does; faster."""
    u64 = k.u64
    mem_map = (u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 3
    slab = cache = shift = stride = freelist = first = inuse = 0
    for pa in objects:
        p = mem_map + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)
        if not u64[p] & _SLAB:
            p = _slab_head(k, p, pa)
        if p != slab:
            if slab:
                _put_freelist(k, cache, slab, freelist, inuse, was_full=not first)
            slab = p
            cache = u64[p + _SLAB_CACHE] & PHYSICAL_MASK
            shift = k.u32[(cache >> 2) + _SLAB_SHIFT_U32]
            stride = k.u32[(cache >> 2) + _STRIDE_U32]
            freelist = first = u64[p + _FREELIST]
            inuse = u64[p + _INUSE]
        va, word = PAGE_OFFSET + pa, pa >> 3
        if freelist and (va - freelist) % stride:
            _bad_object(k, cache, pa, "freed, but not the start of an object")
        looks = u64[word] ^ FREELIST_MASK
        if not looks or not (looks ^ va) >> shift:
            u64[p + _FREELIST] = freelist
            _check_double_free(k, cache, p, va)
        u64[word] = freelist ^ FREELIST_MASK
        freelist = va
        inuse -= 1
    if slab:
        _put_freelist(k, cache, slab, freelist, inuse, was_full=not first)


def _put_freelist(k: Kernel, cache: int, p: int, freelist: int, inuse: int, *,
                  was_full: bool) -> None:
    k.u64[p + _FREELIST] = freelist
    k.u64[p + _INUSE] = inuse
    if was_full or not inuse:
        _slab_changes_list(k, cache, p, was_full=was_full)


def kmem_cache_free(k: Kernel, pa: int) -> None:
    """Free the object at physical address ``pa``, of whatever cache it is."""
    u64 = k.u64
    p = ((u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 3) + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)
    if not u64[p] & _SLAB:
        p = _slab_head(k, p, pa)
    cache = (u64[p + _SLAB_CACHE] & PHYSICAL_MASK) >> 2
    va, word = PAGE_OFFSET + pa, pa >> 3
    freelist = u64[p + _FREELIST]
    # An object's distance from the first one is a multiple of the stride, and so is that from
    # any free one.
    if freelist and (va - freelist) % k.u32[cache + _STRIDE_U32]:
        _bad_object(k, cache << 2, pa, "freed, but not the start of an object")
    looks = u64[word] ^ FREELIST_MASK
    if not looks or not (looks ^ va) >> k.u32[cache + _SLAB_SHIFT_U32]:
        _check_double_free(k, cache << 2, p, va)
    u64[word] = freelist ^ FREELIST_MASK
    u64[p + _FREELIST] = va
    u64[p + _INUSE] = inuse = u64[p + _INUSE] - 1
    if not freelist or not inuse:
        _slab_changes_list(k, cache << 2, p, was_full=not freelist)


def _slab_changes_list(k: Kernel, cache: int, p: int, *, was_full: bool) -> None:
    """The first object of a full slab was freed, or the last one in use of any."""
    u64, c = k.u64, cache >> 3
    lru = PAGE_OFFSET + (p + _LRU << 3)
    if was_full:
        base = p - ((u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 3) << _WORD_TO_PA
        va = u64[p + _FREELIST]
        if ((va & PHYSICAL_MASK) - base) % k.u32[(cache >> 2) + _STRIDE_U32]:
            _bad_object(k, cache, va & PHYSICAL_MASK, "freed, but not the start of an object")
        u64[c + _NR_PARTIAL] += 1
        list_add_va(u64, lru, kmem_cache(k, cache).partial.va)
    if not u64[p + _INUSE]:
        if u64[c + _NR_EMPTY]:
            _discard_slab(k, cache, p)
            return
        u64[c + _NR_EMPTY] = 1
        if u64[c + _PARTIAL + 1] != lru:
            list_move_tail(page(k, p << 3).lru, kmem_cache(k, cache).partial)


def _slab_head(k: Kernel, p: int, pa: int) -> int:
    """Return the index of the first page of a slab, from another page's."""
    head: int = k.u64[p + _LRU]
    p = (head & PHYSICAL_MASK) >> 3
    if not head & 1 or not k.u64[p] & _SLAB:
        BUG(f"{pa + PAGE_OFFSET:#x}: freed, but not in a slab")
    return p


def _bad_object(k: Kernel, cache: int, pa: int, what: str) -> NoReturn:
    name = kmem_cache(k, cache).name.decode()
    BUG(f"{name} {pa + PAGE_OFFSET:#x}: {what}")


def _check_double_free(k: Kernel, cache: int, p: int, va: int) -> None:
    """Look for the object at ``va``, which has a free object's word, among the free ones."""
    ref = kmem_cache(k, cache)
    if va in ref.sheaf[: ref.sheaf_size]:
        _bad_object(k, cache, va & PHYSICAL_MASK, "freed twice")
    free = k.u64[p + _FREELIST]
    for _ in range(page(k, p << 3).objects):
        if free == va:
            _bad_object(k, cache, va & PHYSICAL_MASK, "freed twice")
        if not free:
            break
        free = k.u64[(free & PHYSICAL_MASK) >> 3] ^ FREELIST_MASK


# Slabs


def _new_slab(k: Kernel, cache: int) -> int:
    """Add an empty slab to a cache that has no free object; return the index of its page.lru."""
    u64 = k.u64
    ref = kmem_cache(k, cache)
    oo, size = ref.oo.x, ref.stride
    order, n = oo >> OO_SHIFT, oo & (1 << OO_SHIFT) - 1
    base = alloc_pages(k, order)
    first = base + PAGE_OFFSET
    # FREELIST_MASK leaves the distance from one object to the next as it is.
    words = array("Q", range(first + size ^ FREELIST_MASK, first + n * size ^ FREELIST_MASK, size))
    words.append(FREELIST_MASK)
    step = size >> 3
    start = base >> 3
    u64[start : start + (n - 1) * step + 1 : step] = memoryview(words)

    mm = k.mm_word
    mem_map = (u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3
    p = mem_map + (base >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)
    lru = p + _LRU
    u64[p] |= _SLAB
    u64[p + _SLAB_CACHE] = ref.va
    u64[p + _FREELIST] = first
    u64[p + _INUSE] = 0
    k.u32[(p << 1) + _OBJECTS_U32] = n
    list_add_va(u64, PAGE_OFFSET + (lru << 3), ref.partial.va)
    c = cache >> 3
    u64[c + _NR_PARTIAL] += 1
    u64[c + _NR_EMPTY] += 1
    u64[c + _NR_SLABS] += 1
    u64[mm + _NR_SLAB_PAGES] += 1 << order
    return lru


def _discard_slab(k: Kernel, cache: int, p: int) -> None:
    """Give a slab on the partial list without objects in use back to the page allocator."""
    u64 = k.u64
    c = cache >> 3
    mm = k.mm_word
    order = k.u32[(cache >> 2) + _SLAB_SHIFT_U32] - PAGE_SHIFT
    list_del_va(u64, PAGE_OFFSET + (p + _LRU << 3))
    u64[p] &= ~_SLAB
    u64[p + _SLAB_CACHE] = u64[p + _FREELIST] = 0
    k.u32[(p << 1) + _OBJECTS_U32] = 0
    u64[c + _NR_PARTIAL] -= 1
    u64[c + _NR_SLABS] -= 1
    u64[mm + _NR_SLAB_PAGES] -= 1 << order
    free_pages(k, p - ((u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3) << _WORD_TO_PA, order)


# Structures


def kzalloc(k: Kernel, cls: type[S]) -> S:
    """Return a new ``cls``, filled with zeros, from the cache named after it.

    Raises:
        OutOfFrames: no frames for a new slab.
    """
    pa, size = alloc_struct(k, cls), cls.size
    k.u8[pa : pa + size] = bytes(size)
    return cls(k, pa)


def kfree(ref: Struct | None) -> None:
    """Free what ``kzalloc`` returned; nothing if it is ``None``."""
    if ref is not None:
        free_struct(ref.k, type(ref), ref.pa)


def alloc_struct(k: Kernel, cls: type[Struct]) -> int:
    """Return the physical address of a new ``cls``, whose contents are undefined.

    Raises:
        OutOfFrames: no frames for a new slab.
    """
    u64, c = k.u64, (k.slab_memo.get(cls) or struct_cache(k, cls)) >> 3
    n = u64[c + _SHEAF_SIZE]
    if not n:
        return kmem_cache_alloc(k, c << 3)
    word: int = (u64[c + n + (_SHEAF - 1)] & PHYSICAL_MASK) >> 3
    if u64[word] != FREELIST_MASK:
        _bad_object(k, c << 3, word << 3, "written after it was freed")
    u64[word] = 0
    u64[c + _SHEAF_SIZE] = n - 1
    return word << 3


def free_struct(k: Kernel, cls: type[Struct], pa: int) -> None:
    """Free the ``cls`` at physical address ``pa``."""
    u64, c = k.u64, (k.slab_memo.get(cls) or struct_cache(k, cls)) >> 3
    n, word = u64[c + _SHEAF_SIZE], pa >> 3
    if n == SHEAF_CAPACITY or u64[word] >> _ADDRESS_BITS in _LOOKS_FREE:
        kmem_cache_free(k, pa)
        return
    u64[word] = FREELIST_MASK
    u64[c + n + _SHEAF] = PAGE_OFFSET + pa
    u64[c + _SHEAF_SIZE] = n + 1


def struct_cache(k: Kernel, cls: type[Struct]) -> int:
    """Return the cache of a structure, for :func:`kmem_cache_alloc`."""
    memo = k.slab_memo.get(cls)
    if memo is not None:
        return memo
    cache = find_slab_cache(k, cls.__name__)
    if cache is None:
        cache = kmem_cache(k, kmem_cache_create(k, cls.__name__, cls.size, cls.align))
    BUG_ON(
        cache.object_size != cls.size,
        f"kmem_cache {cls.__name__}: objects of {cache.object_size} bytes, not {cls.size}",
    )
    k.slab_memo[cls] = cache.pa
    return cache.pa


# Bytes

# Index into mm_data.kmalloc_caches for each size up to 192, by (size - 1) >> 3.
_SMALL: Final = bytes(
    1 if 64 < size <= 96 else 2 if size > 128 else max((size - 1).bit_length(), KMALLOC_SHIFT_LOW)
    for size in range(8, 193, 8)
)


def kmalloc(k: Kernel, size: int) -> int:
    """Return the physical address of ``size`` bytes or more; their contents are undefined.

    A power of two is aligned to its size.  More than ``KMALLOC_MAX_CACHE_SIZE`` bytes come from the
    page allocator.

    Raises:
        OutOfFrames: no frames, or none in a row for so large a block.
    """
    if size > KMALLOC_MAX_CACHE_SIZE:
        BUG_ON(size > KMALLOC_MAX_SIZE, f"kmalloc of {size} bytes")
        return alloc_pages(k, ((size - 1) >> PAGE_SHIFT).bit_length())
    index = (size - 1).bit_length() if size > 192 else _SMALL[max(size - 1, 0) >> 3]
    cache = k.u64[k.mm_word + _KMALLOC_CACHES + index] & PHYSICAL_MASK
    return kmem_cache_alloc(k, cache)


def kfree_pa(k: Kernel, pa: int) -> None:
    """Free what ``kmalloc`` or ``kmem_cache_alloc`` returned."""
    mem_map = (k.u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 2
    p = mem_map + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT + 1)
    if k.u32[p] & (_HEAD | _SLAB) == _HEAD:
        free_pages(k, pa, k.u32[p + _ORDER_U32])
    else:
        kmem_cache_free(k, pa)
