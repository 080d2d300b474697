"""Address spaces: ``mm_struct``, its ``vm_area_struct``s, and the memory manager's globals.

A VMA lies in two structures at once: the list ``mm->mmap`` / ``vm_next``, by address, and the
red-black tree ``mm->mm_rb``, keyed by ``vm_start``.  (Linux replaced both by a maple tree in 6.1;
names and meaning are those of before.)

See: Linux include/linux/mm_types.h, include/linux/mm.h, arch/x86/include/asm/page_64_types.h.
"""

from typing import Final

from guest_kernel.layout.declare import I64, U32, U64, Array, Embed, Ptr, Struct, VoidPtr
from guest_kernel.layout.fs import address_space, file
from guest_kernel.layout.list import list_head
from guest_kernel.layout.page import kmem_cache
from guest_kernel.layout.rbtree import rb_node, rb_root

# ------------------------------------------------------------------------- user address space
#
#   0                the NULL page; nothing is mapped below MMAP_MIN_ADDR
#   start_code ...   the program's segments, then the heap from start_brk up to brk
#   ... mmap_base    mappings, top-down
#   stack_guard_gap  never mapped
#   ... STACK_TOP    the stack, which grows down

TASK_SIZE_MAX: Final = (1 << 47) - 4096  # the last page stays free: SYSRET to 1 << 47 would #GP
TASK_SIZE: Final = TASK_SIZE_MAX
DEFAULT_MAP_WINDOW: Final = TASK_SIZE
STACK_TOP: Final = TASK_SIZE
TASK_UNMAPPED_BASE: Final = (TASK_SIZE // 3 + 4095) & ~4095  # bottom-up searches begin here
STACK_GUARD_GAP: Final = 256 << 12  # bytes kept free below a stack
MMAP_MIN_ADDR: Final = 0x1_0000  # vm.mmap_min_addr
DEFAULT_MAX_MAP_COUNT: Final = 65530  # vm.max_map_count

# ------------------------------------------------------------------------------ vm_flags

VM_NONE: Final = 0
VM_READ: Final = 0x0000_0001
VM_WRITE: Final = 0x0000_0002
VM_EXEC: Final = 0x0000_0004
VM_SHARED: Final = 0x0000_0008
# mprotect(2) may set the bit four below.
VM_MAYREAD: Final = 0x0000_0010
VM_MAYWRITE: Final = 0x0000_0020
VM_MAYEXEC: Final = 0x0000_0040
VM_MAYSHARE: Final = 0x0000_0080  # MAP_SHARED was asked for, even if the file is read-only
VM_GROWSDOWN: Final = 0x0000_0100
VM_PFNMAP: Final = 0x0000_0400  # frames without struct page accounting
VM_LOCKED: Final = 0x0000_2000
VM_IO: Final = 0x0000_4000
VM_SEQ_READ: Final = 0x0000_8000
VM_RAND_READ: Final = 0x0001_0000
VM_DONTCOPY: Final = 0x0002_0000  # not inherited by fork
VM_DONTEXPAND: Final = 0x0004_0000
VM_LOCKONFAULT: Final = 0x0008_0000
VM_ACCOUNT: Final = 0x0010_0000  # counted in vm_committed_as
VM_NORESERVE: Final = 0x0020_0000
VM_SYNC: Final = 0x0080_0000
VM_WIPEONFORK: Final = 0x0200_0000
VM_DONTDUMP: Final = 0x0400_0000
VM_MIXEDMAP: Final = 0x1000_0000

VM_STACK: Final = VM_GROWSDOWN
VM_ACCESS_FLAGS: Final = VM_READ | VM_WRITE | VM_EXEC
VM_SPECIAL: Final = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP  # never merged
VM_DATA_FLAGS: Final = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
VM_LOCKED_MASK: Final = VM_LOCKED | VM_LOCKONFAULT

# ------------------------------------------------------------------------------ vm_ops
#
# Linux has a table of functions; here a number says who fills a page of the VMA.

VM_OPS_NONE: Final = 0  # anonymous: zeros (Linux: vm_ops is NULL)
VM_OPS_FILE: Final = 1  # generic_file_vm_ops: the page cache of vm_file
VM_OPS_SHMEM: Final = 2  # shmem_vm_ops: shared anonymous memory, see mm/shmem.py
VM_OPS_SPECIAL: Final = 3  # special_mapping_vmops: fixed frames from vm_private_data on

# ------------------------------------------------------------------------------ mm->rss_stat

MM_FILEPAGES: Final = 0
MM_ANONPAGES: Final = 1
MM_SWAPENTS: Final = 2  # always 0: nothing is swapped
MM_SHMEMPAGES: Final = 3
NR_MM_COUNTERS: Final = 4

AT_VECTOR_SIZE: Final = 2 * (3 + 22 + 1)  # AT_VECTOR_SIZE_ARCH + AT_VECTOR_SIZE_BASE + AT_NULL


class vm_area_struct(Struct):
    """One mapping: a range of an address space whose pages have the same source and rights."""

    vm_start = U64("first byte; a multiple of the page size")
    vm_end = U64("first byte behind it")
    vm_flags = U64("VM_*")
    vm_page_prot = U64("bits of a page-table entry that maps one of its pages for reading")
    vm_mm = Ptr(lambda: mm_struct, "the address space that it belongs to")
    vm_pgoff = U64("page of the file at vm_start; anonymous: vm_start's page when it was new")
    vm_file = Ptr(lambda: file, "the mapped file, or NULL")
    anon_vma = U64(
        "identity of its set of anonymous pages, 0 before the first is faulted in; VMAs with "
        "different ones are not merged.  In Linux a pointer to the reverse map, which only "
        "reclaim needs"
    )
    vm_ops = U32("VM_OPS_*: who fills its pages")
    anon_vma_chain = U32("length of Linux's list: 1 if anon_vma is its own, more after a fork")
    vm_private_data = VoidPtr("VM_OPS_SHMEM: the shmem object; VM_OPS_SPECIAL: the first frame")
    vm_next = Ptr(lambda: vm_area_struct, "the VMA at the next higher addresses, or NULL")
    vm_prev = Ptr(lambda: vm_area_struct, "the VMA at the next lower addresses, or NULL")
    vm_rb = Embed(rb_node, "its place in mm->mm_rb")
    vm_dup = VoidPtr("scratch of fork: where the copy is; else without meaning", writer="asm")
    shared = Embed(list_head, "its place in the address_space's i_mmap; unused without a file")


# mm_struct.flags, MMF_DUMPABLE_MASK: who may look into the process.
SUID_DUMP_DISABLE: Final = 0  # root alone
SUID_DUMP_USER: Final = 1  # its user
MMF_DUMPABLE_MASK: Final = 3


class mm_struct(Struct):
    """An address space.

    ``mm_users`` counts the tasks (and others) that use its mappings; all of them together hold one
    reference of ``mm_count``.  The page table and the structure itself live until ``mm_count`` is
    0, because a kernel thread may still run on the table (``active_mm``).
    """

    pgd = VoidPtr("address of its PML4, in the direct map")
    mmap = Ptr(lambda: vm_area_struct, "the first VMA, or NULL")
    mm_rb = Embed(rb_root, "VMAs by vm_start")
    mmap_cache = Ptr(lambda: vm_area_struct, "the VMA that find_vma() found last, or NULL")
    mm_users = U32("users of the mappings; at 0 they are torn down")
    mm_count = U32("references to the structure; at 0 it is freed")
    map_count = U32("number of VMAs")
    membarrier_state = U32("MEMBARRIER_STATE_*: what the process has registered for")
    task_size = U64("end of user space")
    mmap_base = U64("top-down searches for free space begin here")
    mmap_legacy_base = U64("bottom-up ones begin here")
    flags = U64("MMF_*; in the low bits SUID_DUMP_*: PR_SET_DUMPABLE")
    def_flags = U64("VM_* that each new VMA gets: VM_LOCKED after mlockall(MCL_FUTURE)")
    total_vm = U64("pages mapped")
    locked_vm = U64("pages with VM_LOCKED")
    data_vm = U64("pages private, writable, not stack")
    exec_vm = U64("pages executable, not writable, not stack")
    stack_vm = U64("pages of VM_STACK")
    hiwater_rss = U64("the most pages that were ever resident")
    hiwater_vm = U64("the greatest total_vm")
    pgtables_bytes = U64("bytes of page tables below the PML4")
    rss_stat = Array(I64, NR_MM_COUNTERS, "resident pages: MM_FILEPAGES ...")
    start_code = U64("first byte of the executable's text")
    end_code = U64("first byte behind it")
    start_data = U64("first byte of its initialised data")
    end_data = U64("first byte behind it")
    start_brk = U64("where the heap begins")
    brk = U64("where it ends")
    start_stack = U64("the stack pointer that the program started with")
    arg_start = U64("first byte of the argument strings")
    arg_end = U64("first byte behind them")
    env_start = U64("first byte of the environment strings")
    env_end = U64("first byte behind them")
    vdso = U64("where execve(2) has mapped the vDSO; 0 without a program")
    exe_file = Ptr(lambda: file, "the executable, or NULL")
    saved_auxv = Array(U64, AT_VECTOR_SIZE, "the auxiliary vector, for /proc/pid/auxv")


class shmem(Struct):
    """The memory behind a shared anonymous mapping.  In Linux it is an inode of an inner tmpfs."""

    refcount = U32("VMAs that map it")
    nr_pages = U64("its size")
    i_data = Embed(address_space, "its frames; has no host")


class vm_data(Struct):
    """The memory manager's globals."""

    init_mm = Embed(mm_struct, "the kernel's own address space; its table is swapper_pg_dir")
    swapper_pg_dir = VoidPtr("the PML4 whose upper half every address space shares")
    empty_zero_page = U64("physical address of the frame that reads of untouched memory share")
    vm_area_cachep = Ptr(lambda: kmem_cache, "the slab cache of vm_area_struct")
    mm_cachep = Ptr(lambda: kmem_cache, "the slab cache of mm_struct")
    anon_vma_last = U64("the last identity that was given to a VMA's anonymous pages")
    vm_committed_as = I64("pages promised to VM_ACCOUNT mappings")
    sysctl_max_map_count = U64("most VMAs of an address space")
    mmap_min_addr = U64("lowest address that mmap(2) and stacks may use")
    fault_zero_page = U64("faults: an untouched anonymous page was read")
    fault_anon = U64("faults: an untouched anonymous page was written")
    fault_file_read = U64("faults: a page of a file was mapped")
    fault_file_around = U64("pages that such a fault mapped beside its own")
    fault_file_cow = U64("faults: a page of a private file mapping was written before it was read")
    fault_shared = U64("faults: a page of a shared mapping was mapped")
    fault_special = U64("faults: a page of a special mapping was mapped")
    cow_copied = U64("faults: a shared frame was copied for the writer")
    cow_reused = U64("faults: the writer was the last user of a frame and kept it")
    cow_zero = U64("faults: the zero page was replaced by a frame")
    fault_unshare = U64("page tables that fork had shared and a fault or an unmap made private")
    fault_spurious = U64("faults whose access the tables allowed already")
    stack_growth = U64("faults that grew a stack")
    fault_segv = U64("faults that nothing allows")
    fault_bus = U64("faults beyond the end of a file")
