"""An address space on plain RAM, for tests: a kernel without CPU, with one current task."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.memory import Ram
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import (
    KERNEL_LOAD,
    START_KERNEL_MAP,
    Struct,
    container_of,
)
from guest_kernel.layout.fs import (
    FMODE_READ,
    FMODE_WRITE,
    S_IFREG,
    Ops,
    dentry,
    file,
    inode,
    vfsmount,
)
from guest_kernel.layout.mm_types import mm_struct, vm_area_struct, vm_data
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.rbtree import rb_node
from guest_kernel.layout.sched import (
    RLIM_INFINITY,
    RLIMIT_STACK,
    pcpu_hot,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD
from guest_kernel.mm import filemap
from guest_kernel.mm.filemap import filemap_get_page, truncate_inode_pages
from guest_kernel.mm.mm import mm_alloc, mm_init, mmput
from guest_kernel.mm.page_alloc import mem_init, nr_free_pages
from guest_kernel.mm.pgtable import paging_init
from guest_kernel.mm.slab import kfree, kmem_cache_init, kzalloc, shrink_slabs
from guest_kernel.mm.vma import for_each_vma

PAGE = 4096
RAM_SIZE = 32 << 20
TEXT = (KERNEL_LOAD, KERNEL_LOAD + 0x3000)
RODATA = (KERNEL_LOAD + 0x3000, KERNEL_LOAD + 0x5000)
DATA = (KERNEL_LOAD + 0x5000, KERNEL_LOAD + 0x1_0000)
GLOBALS: tuple[type[Struct], ...] = (mm_data, vm_data, pcpu_hot)


@dataclass
class Flushes:
    """What the CPU was told to forget."""

    pages: list[int] = field(default_factory=list)
    all: int = 0
    code: list[int] = field(default_factory=list)


class FlushingKernel(Kernel):
    """A kernel that notes what the CPU is told to forget."""

    flushes: Flushes

    def flush_tlb_one(self, va: int) -> None:
        self.flushes.pages.append(va)

    def flush_tlb_all(self) -> None:
        self.flushes.all += 1

    def flush_code(self, pa: int) -> None:
        self.flushes.code.append(pa)


def boot(size: int = RAM_SIZE) -> FlushingKernel:
    """Return a kernel whose memory manager is ready and whose current task has no mm yet."""
    symbols, va = {}, START_KERNEL_MAP + DATA[0]
    for kind in GLOBALS:
        symbols[kind.__name__] = va
        va += -(-kind.size // 64) * 64
    assert va - START_KERNEL_MAP <= DATA[1]
    k = FlushingKernel(Ram(size), symbols, DATA[1])
    k.flushes = Flushes()
    mem_init(k, size, DATA[1], [(0, DATA[1])])
    kmem_cache_init(k)
    paging_init(k, text=TEXT, rodata=RODATA, data=DATA, ram_size=size)
    mm_init(k)
    signal = kzalloc(k, signal_struct)
    for limit in signal.rlim:
        limit.rlim_cur = limit.rlim_max = RLIM_INFINITY
    signal.rlim[RLIMIT_STACK].rlim_cur = 8 << 20
    task = kzalloc(k, task_struct)
    task.signal = signal
    k.data(pcpu_hot).current_task = task
    filemap.register_release_file(release_file)
    return k


def enter(k: Kernel, mm: mm_struct) -> None:
    """Let the current task use ``mm``."""
    task = k.current()
    task.mm = task.active_mm = mm


def new_mm(k: Kernel) -> mm_struct:
    """Make an empty address space and let the current task use it."""
    mm = mm_alloc(k)
    enter(k, mm)
    return mm


def leave(k: Kernel, mm: mm_struct) -> None:
    """Tear ``mm`` down while the current task has none."""
    k.current().mm = None
    k.current().active_mm = None
    mmput(mm)


def free_frames(k: Kernel) -> int:
    """Return the free frames, those counted that are for the descriptions of slab caches."""
    shrink_slabs(k)
    return nr_free_pages(k) + k.data(mm_data).boot_kmem_cache.nr_slabs


def maps(mm: mm_struct) -> list[tuple[int, int, int]]:
    """Return ``(start, end, flags)`` of each VMA, having checked list, tree and count."""
    found, last = [], None
    for vma in for_each_vma(mm):
        assert vma.vm_start < vma.vm_end
        assert vma.vm_prev == last
        assert last is None or last.vm_end <= vma.vm_start
        assert vma.vm_mm == mm
        found.append((vma.vm_start, vma.vm_end, vma.vm_flags))
        last = vma
    assert mm.map_count == len(found)
    assert mm.total_vm == sum(end - start for start, end, _ in found) // PAGE
    assert _in_tree(mm.mm_rb.rb_node) == [start for start, _, _ in found]
    return found


def _in_tree(node: rb_node | None) -> list[int]:
    if node is None:
        return []
    vma = container_of(node, vm_area_struct, "vm_rb")
    return [*_in_tree(node.rb_left), vma.vm_start, *_in_tree(node.rb_right)]


def make_file(k: Kernel, content: bytes, *, mode: int = FMODE_READ | FMODE_WRITE,
              a_ops: int = Ops.RAM_AOPS) -> file:
    """Return an open file, cached as far as ``content`` is not zeros."""
    node = kzalloc(k, inode)
    node.i_mode = S_IFREG | 0o644
    node.i_mapping = node.i_data
    node.i_data.host = node
    node.i_data.a_ops = a_ops
    node.i_size = len(content)
    INIT_LIST_HEAD(node.i_data.i_mmap)
    for offset in range(0, len(content), PAGE):
        page = content[offset : offset + PAGE]
        if any(page):
            pa = filemap_get_page(node.i_data, offset // PAGE)
            k.u8[pa : pa + len(page)] = page
    f = kzalloc(k, file)
    name = kzalloc(k, dentry)
    name.d_inode = node
    f.f_count = 1
    f.f_mode = mode
    f.f_op = Ops.RAMFS_FILE_FOPS
    f.f_inode = node
    f.f_mapping = node.i_data
    f.f_path.mnt = kzalloc(k, vfsmount)
    f.f_path.dentry = name
    return f


def release_file(f: file) -> None:
    """Free what ``make_file`` made."""
    node = f.f_inode
    truncate_inode_pages(node.i_data, 0)
    kfree(f.f_path.mnt)
    kfree(f.f_path.dentry)
    kfree(node)
    kfree(f)
