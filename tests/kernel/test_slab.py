"""Does every object have its own bytes, and do empty slabs come back?"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from emulator.arch.paging import PAGE_SIZE
from emulator.memory import Ram
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, U64, Array, Embed, Struct
from guest_kernel.layout.page import SHEAF_CAPACITY, PG_slab, kmem_cache, mm_data, page
from guest_kernel.layout.rbtree import rb_node, rb_root
from guest_kernel.layout.xarray import xarray
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.lib.rbtree import rb_add, rb_erase, rbtree_inorder_for_each_entry
from guest_kernel.lib.xarray import xa_erase, xa_for_each, xa_store
from guest_kernel.mm.page_alloc import (
    OutOfFrames,
    alloc_page,
    alloc_pages,
    alloc_pages_bulk,
    compound_head,
    drain_local_pages,
    free_pages,
    nr_free_pages,
    page_ref,
    release_pages,
)
from guest_kernel.mm.slab import (
    FREELIST_MASK,
    KMALLOC_MAX_SIZE,
    alloc_struct,
    find_slab_cache,
    for_each_slab_cache,
    free_struct,
    kfree,
    kfree_pa,
    kmalloc,
    kmem_cache_alloc,
    kmem_cache_create,
    kmem_cache_free,
    kmem_cache_shrink,
    kmem_cache_usage,
    kzalloc,
    shrink_slabs,
)

BootKernel = Callable[..., Kernel]
AttachKernel = Callable[[Ram], Kernel]

# Less than a word, odd, a power of two, about a page, several pages; with alignment.
SIZES = ((1, 0), (8, 0), (24, 0), (40, 64), (100, 0), (256, 256), (700, 0), (1600, 64), (3000, 0),
         (4096, 4096), (5000, 0), (8192, 0), (40000, 0))


class thing(Struct):
    """A structure that no part of the kernel has."""

    key = U64("its key")
    rb = Embed(rb_node, "in thing_data.tree")
    payload = Array(U64, 20, "whatever")


class thing_data(Struct):
    """Where things are found."""

    tree = Embed(rb_root, "by key")
    array = Embed(xarray, "by number")


def check_cache(cache: kmem_cache) -> None:
    """Check that the cache's counters and lists say what its slabs say."""
    slabs = list(list_for_each_entry(cache.partial, page, "lru"))
    assert cache.nr_partial == len(slabs)
    assert cache.nr_empty == sum(slab.inuse == 0 for slab in slabs) <= 1
    for slab in slabs:
        assert slab.flags & 1 << PG_slab
        assert slab.slab_cache == cache
        assert slab.inuse < slab.objects
        assert slab.freelist
    if cache.nr_empty:
        assert slabs[-1].inuse == 0
    used, total = kmem_cache_usage(cache)
    assert 0 <= used <= total


class Slabs(RuleBasedStateMachine):
    """Any sequence of operations; each object is filled with its own pattern."""

    objects = Bundle("objects")

    boot: ClassVar[BootKernel]  # the fixture

    def __init__(self) -> None:
        super().__init__()
        self.k = type(self).boot(16 << 20)
        self.caches = {
            size: kmem_cache_create(self.k, f"test-{size}", size, align) for size, align in SIZES
        }
        shrink_slabs(self.k)
        drain_local_pages(self.k)
        self.free = nr_free_pages(self.k)
        self.held: dict[int, tuple[int, int]] = {}  # pa: size, pattern
        self.serial = 0

    def fill(self, pa: int, size: int) -> int:
        assert pa not in self.held
        self.serial += 1
        pattern = self.serial % 255 + 1
        self.k.u8[pa : pa + size] = bytes([pattern]) * size
        self.held[pa] = size, pattern
        return pa

    def check(self, pa: int) -> None:
        size, pattern = self.held.pop(pa)
        assert bytes(self.k.u8[pa : pa + size]) == bytes([pattern]) * size

    @rule(target=objects, which=st.sampled_from(SIZES), n=st.integers(1, 40))
    def alloc(self, which: tuple[int, int], n: int) -> object:
        size, align = which
        pas = []
        for _ in range(n):
            try:
                pa = kmem_cache_alloc(self.k, self.caches[size])
            except OutOfFrames:
                break
            assert pa % max(align, 8) == 0
            pas.append(self.fill(pa, size))
        return multiple(*pas)

    @rule(target=objects, size=st.integers(1, 9000))
    def kmalloc(self, size: int) -> object:
        try:
            return self.fill(kmalloc(self.k, size), size)
        except OutOfFrames:
            return multiple()

    @rule(pas=st.lists(consumes(objects), max_size=60))
    def free_objects(self, pas: list[int]) -> None:
        for pa in pas:
            self.check(pa)
            kfree_pa(self.k, pa)

    @rule()
    def shrink(self) -> None:
        shrink_slabs(self.k)

    @invariant()
    def caches_agree_with_their_slabs(self) -> None:
        pages = 0
        for cache in for_each_slab_cache(self.k):
            check_cache(cache)
            pages += cache.nr_slabs << (cache.oo.x >> 16)
        assert self.k.data(mm_data).nr_slab_pages == pages

    @invariant()
    def usage_is_the_models(self) -> None:
        used = sum(kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(self.k))
        large = sum(size > 8192 and pa % PAGE_SIZE == 0 and not self.in_slab(pa)
                    for pa, (size, _) in self.held.items())
        caches = sum(1 for _ in for_each_slab_cache(self.k)) - 1  # boot_kmem_cache is in the image
        assert used == len(self.held) - large + caches

    def in_slab(self, pa: int) -> bool:
        return bool(compound_head(page_ref(self.k, pa)).flags & 1 << PG_slab)

    def teardown(self) -> None:
        for pa in list(self.held):
            self.check(pa)
            kfree_pa(self.k, pa)
        shrink_slabs(self.k)
        drain_local_pages(self.k)
        assert nr_free_pages(self.k) == self.free


def test_any_sequence_of_operations(boot_kernel: BootKernel) -> None:
    """Do objects never overlap, and do all frames come back?"""
    Slabs.boot = boot_kernel
    run_state_machine_as_test(
        Slabs,
        settings=settings(
            max_examples=30, stateful_step_count=20, deadline=None, derandomize=True
        ),
    )


def test_kzalloc_makes_a_cache_for_each_structure(bare_kernel: Kernel) -> None:
    """Does a structure come zeroed from the cache of its name?"""
    k = bare_kernel
    first = kzalloc(k, thing)
    first.payload[3] = 5
    second = kzalloc(k, thing)
    cache = find_slab_cache(k, "thing")
    assert cache is not None
    assert (cache.object_size, kmem_cache_usage(cache)[0]) == (thing.size, 2)
    assert page_ref(k, first.pa).slab_cache == cache
    kfree(first)
    again = kzalloc(k, thing)
    assert again == first
    assert bytes(k.u8[again.pa : again.pa + thing.size]) == bytes(thing.size)
    kfree(again)
    kfree(second)
    kfree(None)
    assert kmem_cache_usage(cache)[0] == 0


def test_structures_freed_last_are_at_hand(bare_kernel: Kernel) -> None:
    """Are as many structures as a sheaf holds given out again, last one first, and then others?"""
    k = bare_kernel
    things = [kzalloc(k, thing) for _ in range(SHEAF_CAPACITY + 2)]
    cache = find_slab_cache(k, "thing")
    assert cache is not None
    slab = page_ref(k, things[0].pa)
    for ref in things:
        ref.payload[0] = 7
        kfree(ref)
    assert (cache.sheaf_size, slab.inuse) == (SHEAF_CAPACITY, SHEAF_CAPACITY)
    assert kmem_cache_usage(cache)[0] == 0
    again = [kzalloc(k, thing) for _ in things]
    assert again[:SHEAF_CAPACITY] == things[SHEAF_CAPACITY - 1 :: -1]
    assert {ref.pa for ref in again} == {ref.pa for ref in things}
    assert not any(ref.payload[0] for ref in again)
    kfree(again.pop())
    assert (cache.sheaf_size, kmem_cache_usage(cache)[0]) == (1, len(again))
    kmem_cache_shrink(k, cache.pa)
    assert (cache.sheaf_size, slab.inuse) == (0, len(again))
    free_struct(k, thing, again.pop().pa)
    assert alloc_struct(k, thing) in {ref.pa for ref in things} - {ref.pa for ref in again}


def test_misuse_of_a_structure_at_hand_stops_the_machine(bare_kernel: Kernel) -> None:
    """Is a structure in the sheaf freed twice, in either way, or written to, found and named?"""
    k = bare_kernel
    first, second = kzalloc(k, thing), kzalloc(k, thing)
    kfree(first)
    with pytest.raises(KernelPanic, match=f"^thing {first.va:#x}: freed twice$"):
        kfree(first)
    with pytest.raises(KernelPanic, match=f"^thing {first.va:#x}: freed twice$"):
        kmem_cache_free(k, first.pa)
    kmem_cache_free(k, second.pa)
    with pytest.raises(KernelPanic, match=f"^thing {second.va:#x}: freed twice$"):
        kfree(second)
    first.key = 1
    with pytest.raises(KernelPanic, match=f"^thing {first.va:#x}: written after it was freed$"):
        kzalloc(k, thing)


def test_structure_that_looks_free_can_be_freed(bare_kernel: Kernel) -> None:
    """Is data that happens to be a free structure's word no reason to stop?"""
    k = bare_kernel
    ref = kzalloc(k, thing)
    ref.key = FREELIST_MASK
    kfree(ref)
    cache = find_slab_cache(k, "thing")
    assert cache is not None
    assert (cache.sheaf_size, kmem_cache_usage(cache)[0]) == (0, 0)


def test_another_structure_of_the_same_name_is_refused(bare_kernel: Kernel) -> None:
    """Is a cache of another size not taken for the structure's?"""
    kmem_cache_create(bare_kernel, "thing", 8)
    expected = f"^kmem_cache thing: objects of 8 bytes, not {thing.size}$"
    with pytest.raises(KernelPanic, match=expected):
        kzalloc(bare_kernel, thing)


def test_caches_are_listed_by_name(bare_kernel: Kernel) -> None:
    """Are Linux's caches there, oldest first, and is a second one of a name refused?"""
    k = bare_kernel
    kmalloc_sizes = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
    names = [cache.name.decode() for cache in for_each_slab_cache(k)]
    assert names == ["kmem_cache", *(f"kmalloc-{size}" for size in kmalloc_sizes)]
    with pytest.raises(KernelPanic, match=r"^kmem_cache kmalloc-64: exists$"):
        kmem_cache_create(k, "kmalloc-64", 64)


@pytest.mark.parametrize(("size", "name"), [
    (0, "kmalloc-8"), (1, "kmalloc-8"), (8, "kmalloc-8"), (9, "kmalloc-16"), (64, "kmalloc-64"),
    (65, "kmalloc-96"), (96, "kmalloc-96"), (97, "kmalloc-128"), (129, "kmalloc-192"),
    (192, "kmalloc-192"), (193, "kmalloc-256"), (4097, "kmalloc-8192"), (8192, "kmalloc-8192"),
])
def test_kmalloc_takes_the_smallest_cache_that_fits(
    bare_kernel: Kernel, size: int, name: str
) -> None:
    """Does each size come from the cache that Linux would take?"""
    pa = kmalloc(bare_kernel, size)
    cache = compound_head(page_ref(bare_kernel, pa)).slab_cache
    assert cache is not None
    assert cache.name.decode() == name
    assert pa % (cache.stride & -cache.stride) == 0


def test_large_kmalloc_is_a_block_of_pages(bare_kernel: Kernel) -> None:
    """Do more than 8 KiB come from, and go back to, the page allocator?"""
    k = bare_kernel
    free = nr_free_pages(k)
    pa = kmalloc(k, 8193)
    assert pa % (4 * PAGE_SIZE) == 0
    assert nr_free_pages(k) == free - 4
    kfree_pa(k, pa)
    assert nr_free_pages(k) == free
    with pytest.raises(KernelPanic, match=rf"^kmalloc of {KMALLOC_MAX_SIZE + 1} bytes$"):
        kmalloc(k, KMALLOC_MAX_SIZE + 1)


def test_one_empty_slab_is_kept(bare_kernel: Kernel) -> None:
    """Does a cache keep one slab without objects, and shrinking give it back?"""
    k = bare_kernel
    ref = kmem_cache(k, kmem_cache_create(k, "page-sized", 512))
    shrink_slabs(k)
    free = nr_free_pages(k)
    pas = [kmem_cache_alloc(k, ref.pa) for _ in range(24)]
    assert (ref.nr_slabs, ref.nr_partial, nr_free_pages(k)) == (3, 0, free - 3)
    for pa in pas:
        kmem_cache_free(k, pa)
    assert (ref.nr_slabs, ref.nr_partial, ref.nr_empty, nr_free_pages(k)) == (1, 1, 1, free - 1)
    kmem_cache_shrink(k, ref.pa)
    assert (ref.nr_slabs, ref.nr_partial, ref.nr_empty, nr_free_pages(k)) == (0, 0, 0, free)


def test_partial_slab_is_used_before_the_empty_one(bare_kernel: Kernel) -> None:
    """Are slabs in use filled up first, so that the others can become empty?"""
    k = bare_kernel
    cache = kmem_cache_create(k, "page-sized", 512)
    first = [kmem_cache_alloc(k, cache) for _ in range(8)]
    second = [kmem_cache_alloc(k, cache) for _ in range(8)]
    kmem_cache_free(k, first[0])
    for pa in second:
        kmem_cache_free(k, pa)
    assert kmem_cache_alloc(k, cache) == first[0]


def test_wrong_frees_stop_the_machine(bare_kernel: Kernel) -> None:
    """Is each way to free wrongly found, and named?"""
    k = bare_kernel
    cache = kmem_cache_create(k, "victims", 64)
    pas = [kmem_cache_alloc(k, cache) for _ in range(10)]

    def named(pa: int) -> str:
        return f"^victims {pa + PAGE_OFFSET:#x}: "

    # Once with a successor on the free list, once as the only free object.
    for pa in pas[:2]:
        kmem_cache_free(k, pa)
        with pytest.raises(KernelPanic, match=named(pa) + "freed twice$"):
            kmem_cache_free(k, pa)
    with pytest.raises(KernelPanic, match=named(pas[0]) + "freed twice$"):
        kmem_cache_free(k, pas[0])
    with pytest.raises(KernelPanic, match=r"freed, but not the start of an object$"):
        kmem_cache_free(k, pas[3] + 8)

    frame, block = alloc_page(k), alloc_pages(k, 1)
    for pa in (frame, block, block + PAGE_SIZE):
        with pytest.raises(KernelPanic, match=f"^{pa + PAGE_OFFSET:#x}: freed, but not in a slab$"):
            kmem_cache_free(k, pa)


def test_free_list_of_a_full_slab_detects_a_double_free(bare_kernel: Kernel) -> None:
    """Is an object freed twice found when its slab has no other free object?"""
    k = bare_kernel
    cache = kmem_cache_create(k, "victims", 512)
    pas = [kmem_cache_alloc(k, cache) for _ in range(8)]
    kmem_cache_free(k, pas[5])
    with pytest.raises(KernelPanic, match=r"^victims .*: freed twice$"):
        kmem_cache_free(k, pas[5])


@pytest.mark.parametrize("word", [0, 1, 0xFFFF_8880_0000_1000, (1 << 64) - 1])
def test_write_after_free_stops_the_machine(bare_kernel: Kernel, word: int) -> None:
    """Is a store to a freed object's first word found when the object is allocated again?"""
    k = bare_kernel
    cache = kmem_cache_create(k, "victims", 64)
    pa = kmem_cache_alloc(k, cache)
    kmem_cache_free(k, pa)
    k.u64[pa >> 3] = word
    with pytest.raises(KernelPanic, match=f"^victims {pa + PAGE_OFFSET:#x}: written after it was"):
        kmem_cache_alloc(k, cache)


def test_object_that_looks_free_can_be_freed(bare_kernel: Kernel) -> None:
    """Is data that happens to be a free object's word no reason to stop?"""
    k = bare_kernel
    cache = kmem_cache_create(k, "victims", 64)
    first, second = kmem_cache_alloc(k, cache), kmem_cache_alloc(k, cache)
    kmem_cache_free(k, second)
    word = k.u64[second >> 3]
    assert kmem_cache_alloc(k, cache) == second
    k.u64[second >> 3] = word
    kmem_cache_free(k, second)
    kmem_cache_free(k, first)


def test_failure_changes_nothing(boot_kernel: BootKernel) -> None:
    """If no frame is free, is the cache as before, and usable when one is?"""
    k = boot_kernel(2 << 20)
    ref = kmem_cache(k, kmem_cache_create(k, "page-sized", 4096))
    pas = alloc_pages_bulk(k, nr_free_pages(k))
    for _ in range(2):
        with pytest.raises(OutOfFrames):
            kmem_cache_alloc(k, ref.pa)
    check_cache(ref)
    release_pages(k, pas)
    kmem_cache_alloc(k, ref.pa)
    check_cache(ref)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(("page", "block", "bulk", "free", "kmalloc", "kfree", "thing", "store",
                         "erase", "drain", "shrink")),
        st.integers(0, 300),
    ),
    max_size=60,
)


def perform(kernel: Callable[[], Kernel], operations: list[tuple[str, int]]) -> list[object]:
    """Run ``operations``, asking for the kernel before each; return all that they answered.

    What is held is kept as numbers, as registers and RAM would.
    """
    data = kzalloc(kernel(), thing_data).pa
    pages: list[tuple[int, int]] = []
    objects: list[int] = []
    log: list[object] = []
    for operation, n in operations:
        k = kernel()
        globals_ = thing_data(k, data)
        if operation == "page":
            pages.append((alloc_page(k), 0))
        elif operation == "block":
            pages.append((alloc_pages(k, n % 5), n % 5))
        elif operation == "bulk":
            pages += [(pa, 0) for pa in alloc_pages_bulk(k, n)]
        elif operation == "free" and pages:
            pa, order = pages.pop(n % len(pages))
            free_pages(k, pa, order)
        elif operation == "kmalloc":
            objects.append(kmalloc(k, n * n))
        elif operation == "kfree" and objects:
            kfree_pa(k, objects.pop(n % len(objects)))
        elif operation == "thing":
            new = kzalloc(k, thing)
            new.key = n
            rb_add(new.rb, globals_.tree, -8)
            entries = list(rbtree_inorder_for_each_entry(globals_.tree, thing, "rb"))
            if n % 3 == 0:
                rb_erase(entries[0].rb, globals_.tree)
                kfree(entries[0])
            log.append([entry.pa for entry in entries])
        elif operation == "store":
            log.append(xa_store(globals_.array, n**3, n * 4 + 4))
        elif operation == "erase":
            log.append([xa_erase(globals_.array, i) for i, _ in xa_for_each(globals_.array, n)])
        elif operation == "drain":
            drain_local_pages(k)
        elif operation == "shrink":
            shrink_slabs(k)
        log.append((nr_free_pages(k), pages[-1:], objects[-1:]))
    return log


@given(operations=OPERATIONS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_kernel_object_holds_no_state(
    boot_kernel: BootKernel, attach_kernel: AttachKernel, operations: list[tuple[str, int]]
) -> None:
    """If the kernel object is thrown away before each operation, does nothing change?

    Good: the same answers and the same RAM.  Bad: something was kept in Python only.
    """
    one = boot_kernel(8 << 20)
    ram = boot_kernel(8 << 20).ram
    assert perform(lambda: one, operations) == perform(lambda: attach_kernel(ram), operations)
    assert bytes(one.ram.u8) == bytes(ram.u8)
