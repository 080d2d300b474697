"""The kernel image: the assembly, the tables that go with it, and room for the kernel's globals.

    .text    asm/*.asm, a stub per vector, a stub per system call               R-X
    .rodata  sys_call_table, idt_table, task_state_array, the vDSO              R--
    .data    page tables and the stack of the first instructions, IST stacks,
             GDT, TSS                                                           RW-
    .bss     each structure of globals, under its own name and its fields' names; the vDSO's data
             are a page of their own

Each section ends on a page boundary, at ``_etext``, ``__end_rodata``, ``_edata`` and ``_end``.  All
is assembled as one text; numbers come from the layouts and ``emulator.arch``.  The result is an ELF
file, kept in the cache and equal for equal sources.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from emulator import assembler, elf, sources
from emulator.arch import descriptors
from emulator.arch.exceptions import NR_VECTORS, WITH_ERROR_CODE, PageFaultError
from emulator.arch.paging import FRAME_MASK, LARGE_PAGE_SIZE, PAGE_SIZE, PTE
from emulator.arch.registers import CR0, CR4, EFER, MSR, RFLAGS
from emulator.cpu.cpu import HOST_CALL_PORT
from guest_kernel import vdso_image
from guest_kernel.errors import Errno
from guest_kernel.layout import sched
from guest_kernel.layout.declare import (
    KERNEL_LOAD,
    PAGE_OFFSET,
    PHYSICAL_MASK,
    START_KERNEL_MAP,
    Struct,
)
from guest_kernel.layout.fs import address_space, file, fs_data, inode
from guest_kernel.layout.futex import futex_data
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.init import init_data
from guest_kernel.layout.ipc import ipc_data
from guest_kernel.layout.lazyinit import LI_GROUP_SIZE, lazy_init, li_request
from guest_kernel.layout.mm_types import (
    MM_ANONPAGES,
    MM_FILEPAGES,
    MM_SHMEMPAGES,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_DONTCOPY,
    VM_LOCKED_MASK,
    VM_MAYWRITE,
    VM_OPS_FILE,
    VM_OPS_SHMEM,
    VM_SHARED,
    VM_WIPEONFORK,
    VM_WRITE,
    mm_struct,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.page import PG_held_code, PG_slab, kmem_cache, mm_data, page
from guest_kernel.layout.printk import printk_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.rbtree import rb_node
from guest_kernel.layout.sched import (
    TASK_STATE_ARRAY,
    THREAD_SIZE,
    pcpu_hot,
    sched_data,
    task_struct,
)
from guest_kernel.layout.sigframe import (
    FIX_EFLAGS,
    REDZONE_SIZE,
    UC_SIGCONTEXT_SS,
    UC_STRICT_RESTORE_SS,
    rt_sigframe,
    sigcontext_64,
)
from guest_kernel.layout.signal import sigqueue, user_struct
from guest_kernel.layout.stats import stats_data
from guest_kernel.layout.tty import tty_data
from guest_kernel.layout.vdso import vdso_data
from guest_kernel.layout.workqueue import workqueue_data
from guest_kernel.layout.xarray import xa_node
from guest_kernel.lib import rbtree
from guest_kernel.mm import pgtable
from guest_kernel.mm.memory import FAULT_AROUND_PAGES
from guest_kernel.mm.page_alloc import PCP_HIGH
from guest_kernel.mm.slab import FREELIST_MASK
from guest_kernel.process.fpu import FXSAVE_SIZE, INIT_FPSTATE, MXCSR_MASK
from guest_kernel.sched import fair
from guest_kernel.signal.numbers import (
    SA_NODEFER,
    SA_RESETHAND,
    SA_RESTORER,
    SIG_KERNEL_ONLY_MASK,
    SIMPLE_SIGNALS,
    SYNCHRONOUS_MASK,
)
from guest_kernel.syscall_table import Row, load

ASM: Final = sources.beside(__file__, "asm")
FILES: Final = ("macros", "boot", "entry", "traps", "signal", "fault", "fork", "exit", "switch",
                "fair", "kthread", "examples")
BASE: Final = START_KERNEL_MAP + KERNEL_LOAD

# The sections, and the label at the end of each.
ENDS: Final = {".text": "_etext", ".rodata": "__end_rodata", ".data": "_edata", ".bss": "_end"}

# Everything that Linux would have as global variables.
GLOBALS: Final[tuple[type[Struct], ...]] = (pcpu_hot, sched_data, mm_data, vm_data, fs_data,
                                            printk_data, init_data, tty_data, ipc_data, stats_data,
                                            workqueue_data, vdso_data, futex_data)

# Calls that entry.asm answers itself; each has a hosted twin for reference.
NATIVE: Final = frozenset({"sys_getpid", "sys_gettid", "sys_getuid", "sys_geteuid", "sys_getgid",
                           "sys_getegid", "sys_set_robust_list", "sys_sched_yield",
                           "sys_rt_sigreturn"})

# Calls that make a task: entry.asm saves the FPU's state for it first.
EXITS: Final = frozenset({"sys_exit", "sys_exit_group"})
FORKS: Final = frozenset({"sys_fork", "sys_vfork", "sys_clone", "sys_clone3", "sys_ft_fork"})

# Interrupt stack table: these must not depend on the stack that they interrupt.
IST: Final = {8: 1, 2: 2, 18: 3}
IST_STACK_SIZE: Final = PAGE_SIZE

# Linux's names, arch/x86/include/asm/idtentry.h.
EXCEPTION_NAMES: Final = {
    0: "divide_error", 1: "debug", 2: "nmi", 3: "int3", 4: "overflow", 5: "bounds",
    6: "invalid_op", 7: "device_not_available", 8: "double_fault", 9: "coproc_segment_overrun",
    10: "invalid_tss", 11: "segment_not_present", 12: "stack_segment", 13: "general_protection",
    14: "page_fault", 15: "spurious_interrupt_bug", 16: "coprocessor_error", 17: "alignment_check",
    18: "machine_check", 19: "simd_coprocessor_error",
}

NR_EVENTS: Final = 100  # that the producer in examples.asm makes

TSS_SIZE: Final = descriptors.TSS_SIZE
GDT_ENTRIES: Final = 10


def build() -> bytes:
    """Return the image as an ELF file, from the cache if nothing has changed."""
    rows = load()
    source, symbols = text(rows), numbers(rows)
    vdso, vdso_symbols = vdso_image.source(), vdso_image.numbers(rows)
    recipe = [sources.read_text(module) for module in (
        __file__, vdso_image.__file__, assembler.__file__, elf.__file__, descriptors.__file__)]
    fields = [(kind.__name__, name, field.offset, field.size)
              for kind in GLOBALS for name, field in kind.fields.items()]
    key = "\0".join([source, str(sorted(symbols.items())), str(fields), vdso,
                     str(sorted(vdso_symbols.items())), *recipe]).encode()
    return assembler.cached("kernel", key, lambda: _build(
        source, symbols, vdso_image.build(vdso, vdso_symbols)))


def _build(source: str, symbols: dict[str, int], vdso: bytes) -> bytes:
    parts, labels = assembler.assemble_sections(source, BASE, dict.fromkeys(ENDS, PAGE_SIZE),
                                                symbols)
    data = {part.name: bytearray(part.data) for part in parts}
    for address, content in (*_tables(labels), (labels["vdso_image_64"], vdso)):
        part = next(p for p in parts if p.address <= address < p.address + len(p.data))
        place = address - part.address
        data[part.name][place : place + len(content)] = content
    sections = [elf.Section.named(part.name, part.address, bytes(data[part.name]),
                                  pa=part.address - START_KERNEL_MAP) for part in parts]
    sizes: dict[str, int] = {}
    for kind in GLOBALS:
        sizes[kind.__name__] = kind.size
        for name, field in kind.fields.items():
            if kind.__name__.endswith("_data") and field.overlay is None:
                labels[name] = labels[kind.__name__] + field.offset
                sizes[name] = field.size
    return elf.write(sections, labels["startup_64"] - START_KERNEL_MAP, labels, sizes)


def text(rows: Sequence[Row]) -> str:
    """Return the whole kernel as one assembly text."""
    files = [sources.read_text(os.path.join(ASM, f"{name}.asm")) for name in FILES]
    # Behind instructions the filling is NOPs.
    ends = [f"{section}\n.balign {PAGE_SIZE}{'' if section == '.text' else ', 0'}\n{label}:"
            for section, label in ENDS.items()]
    return "\n".join(["_text:", *files, _vector_stubs(), _syscall_stubs(rows), _rodata(rows),
                      _data(), _bss(), *ends])


def _vector_stubs() -> str:
    lines = []
    for vector in range(NR_VECTORS):
        name = EXCEPTION_NAMES.get(vector)
        lines.append(f"asm_exc_{name}:" if name else f"irq_entry_{vector}:")
        if vector not in WITH_ERROR_CODE:
            lines.append("push -1")
        lines += [f"push {vector}", "jmp error_entry"]
    return "\n".join(lines)


def _syscall_stubs(rows: Sequence[Row]) -> str:
    lines = ["__x64_sys_ni_syscall:", "jmp hosted_syscall"]
    for row in rows:
        if row.entry is not None:
            body = "hosted_fork" if row.entry in FORKS else (
                "hosted_exit" if row.entry in EXITS else "hosted_syscall")
            if row.entry in NATIVE:
                body = f"native_{row.entry}"
            lines += [f"__x64_{row.entry}:", f"jmp {body}"]
    return "\n".join(lines)


def _rodata(rows: Sequence[Row]) -> str:
    entries = {row.number: row.entry for row in rows}
    table = [f".quad __x64_{entries.get(number) or 'sys_ni_syscall'}"
             for number in range(_nr_syscalls(rows))]
    states = [f"task_state_{i}:\n.asciz \"{text}\"" for i, text in enumerate(TASK_STATE_ARRAY)]
    pointers = [f".quad task_state_{i}" for i in range(len(TASK_STATE_ARRAY))]
    return "\n".join([".rodata", "sys_call_table:", *table, ".balign 16, 0",
                      "idt_table:", f".zero {NR_VECTORS * descriptors.GATE_SIZE}",
                      "idt_descr:", f".word {NR_VECTORS * descriptors.GATE_SIZE - 1}",
                      ".quad idt_table",
                      "gdt_descr:", f".word {GDT_ENTRIES * 8 - 1}", ".quad gdt_page",
                      *states, ".balign 8, 0", "task_state_array:", *pointers,
                      ".balign 16, 0", "init_fpstate:",
                      f".byte {', '.join(map(str, INIT_FPSTATE))}",
                      f".balign {PAGE_SIZE}, 0", "vdso_image_64:", f".zero {PAGE_SIZE}"])


def _data() -> str:
    stacks = [line for number in IST.values() for line in (
        f"ist{number}_stack:", f".zero {IST_STACK_SIZE}", f"ist{number}_stack_end:")]
    return "\n".join([".data", *stacks, "gdt_page:", f".zero {GDT_ENTRIES * 8}",
                      ".balign 16, 0", "cpu_tss:", f".zero {TSS_SIZE}"])


def _bss() -> str:
    places = [f".balign {PAGE_SIZE if kind is vdso_data else 64}, 0\n{kind.__name__}:\n"
              f".zero {kind.size}" for kind in GLOBALS]
    return "\n".join([".bss", *places])


def _nr_syscalls(rows: Iterable[Row]) -> int:
    return max(row.number for row in rows) + 1


def _tables(labels: dict[str, int]) -> Iterator[tuple[int, bytes]]:
    """Yield what needs addresses cut into pieces: descriptors, gates, page-table entries.

    Yields:
        An address, and the bytes there.
    """
    gdt, tss, idt = labels["gdt_page"], labels["cpu_tss"], labels["idt_table"]
    yield gdt, struct.pack(
        "<7Q", 0, 0, descriptors.KERNEL_CODE_DESCRIPTOR, descriptors.KERNEL_DATA_DESCRIPTOR,
        descriptors.USER32_CODE_DESCRIPTOR, descriptors.USER_DATA_DESCRIPTOR,
        descriptors.USER_CODE_DESCRIPTOR)
    yield gdt + descriptors.TSS_SELECTOR, descriptors.tss_descriptor(tss, TSS_SIZE - 1)
    for number in IST.values():
        yield (tss + descriptors.TSS_IST1 + 8 * (number - 1),
               labels[f"ist{number}_stack_end"].to_bytes(8, "little"))
    # Beyond the limit: no ring 3 program may use a port.
    yield tss + descriptors.TSS_IO_MAP_BASE, TSS_SIZE.to_bytes(2, "little")
    for vector in range(NR_VECTORS):
        name = EXCEPTION_NAMES.get(vector)
        handler = labels[f"asm_exc_{name}" if name else f"irq_entry_{vector}"]
        # INT3 and INTO may be executed by ring 3.
        yield idt + vector * descriptors.GATE_SIZE, descriptors.gate(
            handler, descriptors.KERNEL_CS, dpl=3 if vector in (3, 4) else 0,
            ist=IST.get(vector, 0))
    # The first GiB at its physical addresses, and again where the image is linked.
    level4, level3, level2 = (labels[f"early_{name}_pgt"] for name in ("top", "level3", "level2"))
    table = PTE.P | PTE.RW
    for index in (0, START_KERNEL_MAP >> 39 & 511):
        yield level4 + 8 * index, (level3 - START_KERNEL_MAP | table).to_bytes(8, "little")
    for index in (0, START_KERNEL_MAP >> 30 & 511):
        yield level3 + 8 * index, (level2 - START_KERNEL_MAP | table).to_bytes(8, "little")
    yield level2, b"".join(
        (index * LARGE_PAGE_SIZE | table | PTE.PS | PTE.A | PTE.D).to_bytes(8, "little")
        for index in range(512))


def _fault_numbers() -> dict[str, int]:
    """Return what fault.asm, fork.asm and exit.asm use."""
    vma = {f"VMA_{name.upper()}": vm_area_struct.offsetof(name) for name in (
        "vm_start", "vm_end", "vm_flags", "vm_page_prot", "anon_vma", "vm_ops",
        "vm_file", "vm_pgoff", "vm_mm", "vm_prev", "vm_next", "vm_rb", "vm_dup", "shared",
        "anon_vma_chain")}
    mm = {f"MM_{name.upper()}": mm_struct.offsetof(name) for name in (
        "pgd", "mmap", "mmap_cache", "mm_rb", "mm_users", "mm_count", "map_count", "hiwater_rss",
        "hiwater_vm", "total_vm", "locked_vm", "pgtables_bytes", "def_flags", "exe_file",
        "membarrier_state")}
    rss = mm_struct.offsetof("rss_stat")
    frame = {f"PAGE_{name.strip('_').upper()}": page.offsetof(name) for name in (
        "lru", "private", "mapping", "_mapcount", "_refcount",
        "objects", "inuse", "freelist")}
    data = {f"VM_DATA_{name.upper()}": vm_data.offsetof(name) for name in (
        "fault_anon", "fault_unshare", "fault_zero_page", "fault_file_read", "fault_file_around",
        "fault_shared", "cow_copied", "cow_reused", "empty_zero_page", "vm_area_cachep",
        "mm_cachep", "vm_committed_as", "anon_vma_last", "swapper_pg_dir")}
    pages = {f"MM_DATA_{name.replace('.', '_').upper()}": mm_data.offsetof(name) for name in (
        "mem_map", "pcp.count", "pcp.list", "totalram_pages")}
    return vma | mm | frame | data | pages | {
        "MM_RSS_ANON": rss + 8 * MM_ANONPAGES, "MM_RSS_FILE": rss + 8 * MM_FILEPAGES,
        "MM_RSS_SHMEM": rss + 8 * MM_SHMEMPAGES, "RB_LEFT": rb_node.offsetof("rb_left"),
        "RB_RIGHT": rb_node.offsetof("rb_right"), "PCP_HIGH": PCP_HIGH,
        "USER_ENTRIES": pgtable.USER_ENTRIES, "USER_TABLE": pgtable.USER_TABLE,
        "MINUS_VMA_VM_RB": -vm_area_struct.offsetof("vm_rb"),
        "PTE_RW": pgtable.RW, "NOT_PTE_RW": ~pgtable.RW, "PTE_SPECIAL": pgtable.SPECIAL,
        "PTE_RW_ANON": pgtable.RW | pgtable.ANON,
        "PAGE_LRU_PREV": page.offsetof("lru.prev"), "PAGE_OFFSET": PAGE_OFFSET,
        "FRAME_MASK": FRAME_MASK, "VM_WRITE": VM_WRITE, "VM_WRITE_SHARED": VM_WRITE | VM_SHARED,
        "VM_NOT_INHERITED_AS_IS": VM_DONTCOPY | VM_WIPEONFORK | VM_LOCKED_MASK,
        "VMA_SHARED_PREV": vm_area_struct.offsetof("shared.prev"), "SLAB": 1 << PG_slab,
        "VM_ACCOUNT": VM_ACCOUNT, "VM_OPS_SHMEM": VM_OPS_SHMEM,
        "VM_SHARED_MAYWRITE": VM_SHARED | VM_MAYWRITE, "NOT_VM_LOCKED_MASK": ~VM_LOCKED_MASK,
        "VM_DUP_FROM_RB": vm_area_struct.offsetof("vm_dup") - vm_area_struct.offsetof("vm_rb"),
        "MM_STRUCT_WORDS": mm_struct.size >> 3, "VM_AREA_WORDS": vm_area_struct.size >> 3,
        "KMEM_CACHE_NR_PARTIAL": kmem_cache.offsetof("nr_partial"),
        "KMEM_CACHE_NR_EMPTY": kmem_cache.offsetof("nr_empty"), "FREELIST_MASK": FREELIST_MASK,
        "FILE_F_COUNT": file.offsetof("f_count"),
        "INODE_I_WRITECOUNT": inode.offsetof("i_writecount"),
        "MAPPING_I_MMAP": address_space.offsetof("i_mmap"),
        "MAPPING_I_MMAP_WRITABLE": address_space.offsetof("i_mmap_writable"),
        "PF_WRITE": int(PageFaultError.W), "NOT_PF_WRITE": ~int(PageFaultError.W),
        "NOT_PF_FETCH_P": ~int(PageFaultError.I | PageFaultError.P),
        "PF_P": int(PageFaultError.P),
        "VM_ACCESS_FLAGS": VM_ACCESS_FLAGS, "VM_SHARED": VM_SHARED, "VM_OPS_FILE": VM_OPS_FILE,
        "FILE_F_MAPPING": file.offsetof("f_mapping"), "FILE_F_INODE": file.offsetof("f_inode"),
        "INODE_I_SIZE": inode.offsetof("i_size"),
        "MAPPING_XA_HEAD": address_space.offsetof("i_pages.xa_head"),
        "XA_NODE_SHIFT": xa_node.offsetof("shift"), "XA_NODE_SLOTS": xa_node.offsetof("slots"),
        "FAULT_AROUND_PAGES": FAULT_AROUND_PAGES,
        "FAULT_AROUND_PAGES_LESS_1": FAULT_AROUND_PAGES - 1, "PHYSICAL_MASK": PHYSICAL_MASK,
        "HELD_CODE": 1 << PG_held_code, "PTE_P": pgtable.P,
        "PF_USER": int(PageFaultError.U),
        "PTE_P_RW": pgtable.P | pgtable.RW, "PTE_RW_D": pgtable.RW | pgtable.D,
        "PTE_P_RW_SPECIAL": pgtable.P | pgtable.RW | pgtable.SPECIAL, "PTE_ANON": pgtable.ANON,
        "PTE_WRITABLE_ANON": pgtable.RW | pgtable.D | pgtable.ANON,
    }


def _fair_numbers() -> dict[str, int]:
    """Return what fair.asm and the end of a switch use."""
    task = {f"TASK_{name.upper()}": task_struct.offsetof(path) for name, path in (
        ("state", "__state"), ("sched_class", "sched_class"), ("active_mm", "active_mm"),
        ("usage", "usage"), ("utime", "utime"), ("stime", "stime"), ("se_on_rq", "se.on_rq"))}
    task |= {f"TASK_{name.upper()}": task_struct.offsetof(f"se.{name}") for name in (
        "vruntime", "deadline", "vlag", "load_weight", "slice", "run_node")}
    queue = {f"RQ_{name.upper()}": sched_data.offsetof(f"runqueues.{name}") for name in (
        "nr_running", "clock", "nr_switches", "quantum", "turn_cost", "hrtick", "curr")}
    queue |= {f"RQ_{name.upper()}": sched_data.offsetof(f"runqueues.cfs.{name}") for name in (
        "avg_vruntime", "avg_load", "zero_vruntime", "tasks_timeline")}
    return task | queue | {
        "RQ_CFS_NR_RUNNING": sched_data.offsetof("runqueues.cfs.nr_running"),
        "RQ_TASKS_LEFTMOST": sched_data.offsetof("runqueues.cfs.tasks_timeline.rb_leftmost"),
        "CACHED_STACKS": sched_data.offsetof("cached_stacks"),
        "NR_CACHED_STACKS": sched.NR_CACHED_STACKS,
        "RQ_EXPIRES_NEXT": sched_data.offsetof("hrtimer_bases.expires_next"),
        "FAIR_SCHED_CLASS": sched.FAIR_SCHED_CLASS, "FAIR_FAR": fair.FAR,
        "NICE_0_LOAD": sched.NICE_0_LOAD, "NICE_0_SHIFT": sched.NICE_0_LOAD.bit_length() - 1,
        "NICE_0_SHIFT_PLUS_1": sched.NICE_0_LOAD.bit_length(),
        "STACK_END_MAGIC": sched.STACK_END_MAGIC, "TASK_DEAD": sched.TASK_DEAD,
        "NOT_TIF_NEED_RESCHED": ~sched.TIF_NEED_RESCHED, "RB_BLACK": rbtree.BLACK,
    }


def _signal_numbers() -> dict[str, int]:
    """Return what signal.asm uses."""
    mcontext = rt_sigframe.offsetof("uc.uc_mcontext")
    frame = {f"FRAME_{name.upper()}": mcontext + field.offset
             for name, field in sigcontext_64.fields.items()}
    frame |= {f"FRAME_{name.upper()}": rt_sigframe.offsetof(f"uc.{name}") for name in (
        "uc_flags", "uc_link", "ss_sp", "ss_flags", "ss_size", "uc_sigmask")}
    frame |= {f"FRAME_{name.upper()}": field.offset for name, field in rt_sigframe.fields.items()}
    task = {f"TASK_{name.upper()}": task_struct.offsetof(path) for name, path in (
        ("signal", "signal"), ("sighand", "sighand"), ("pending", "pending"),
        ("pending_signal", "pending.signal"), ("blocked", "blocked"), ("jobctl", "jobctl"),
        ("saved_sigmask", "saved_sigmask"), ("restore_sigmask", "restore_sigmask"),
        ("sas_ss_sp", "sas_ss_sp"), ("sas_ss_size", "sas_ss_size"),
        ("sas_ss_flags", "sas_ss_flags"), ("sigqueue_cache", "sigqueue_cache"),
        ("error_code", "thread.error_code"), ("trap_nr", "thread.trap_nr"),
        ("cr2", "thread.cr2"))}
    signal = {f"SIGNAL_{name.upper()}": sched.signal_struct.offsetof(path) for name, path in (
        ("flags", "flags"), ("nr_threads", "nr_threads"), ("group_exec_task", "group_exec_task"),
        ("shared_pending", "shared_pending"), ("shared_signal", "shared_pending.signal"))}
    action = {f"SIGHAND_{name.upper()}": sched.sighand_struct.offsetof("action") + field.offset
              for name, field in sched.k_sigaction.fields.items()}
    flags = int(RFLAGS.DF | RFLAGS.RF | RFLAGS.TF)
    return frame | task | signal | action | {
        "SIGPENDING_SIGNAL": sched.sigpending.offsetof("signal"),
        "SIGQUEUE_FLAGS": sigqueue.offsetof("flags"),
        "SIGQUEUE_INFO": sigqueue.offsetof("info"),
        "SIGQUEUE_SI_SIGNO": sigqueue.offsetof("info.si_signo"),
        "SIGQUEUE_USER": sigqueue.offsetof("user"),
        "USER_SIGPENDING": user_struct.offsetof("sigpending"),
        "K_SIGACTION_SHIFT": sched.k_sigaction.size.bit_length() - 1,
        "SIGNAL_NOT_SIMPLE": sched.SIGNAL_GROUP_EXIT | sched.SIGNAL_CLD_MASK,
        "JOBCTL_STOP_PENDING": sched.JOBCTL_STOP_PENDING,
        "SYNCHRONOUS_MASK": SYNCHRONOUS_MASK, "SIMPLE_SIGNALS": SIMPLE_SIGNALS,
        "SA_RESTORER": SA_RESTORER, "SA_RESETHAND": SA_RESETHAND, "SA_NODEFER": SA_NODEFER,
        "UC_FLAGS": UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        "UC_STRICT_RESTORE_SS": UC_STRICT_RESTORE_SS,
        "MINUS_REDZONE_AND_FXSAVE": -REDZONE_SIZE - FXSAVE_SIZE,
        "MINUS_RT_SIGFRAME_SIZE": -rt_sigframe.size, "RT_SIGFRAME_WORDS": rt_sigframe.size >> 3,
        "RT_SIGFRAME_SAVED_WORDS": rt_sigframe.offsetof("info") >> 3,
        "RT_SIGFRAME_SPACE": rt_sigframe.size + 15 & ~15, "FXSAVE_WORDS": FXSAVE_SIZE >> 3,
        "TASK_FXSAVE_MXCSR": task_struct.offsetof("fxsave") + 24, "MXCSR_MASK": MXCSR_MASK,
        "ERESTART_RESTARTBLOCK": Errno.ERESTART_RESTARTBLOCK,
        "ERESTART_NUMBERS": Errno.ERESTART_RESTARTBLOCK - Errno.ERESTARTSYS,
        "ERESTARTNOHAND_FROM_FIRST": Errno.ERESTART_RESTARTBLOCK - Errno.ERESTARTNOHAND,
        "MINUS_EINTR": -Errno.EINTR, "NOT_SIG_KERNEL_ONLY": ~SIG_KERNEL_ONLY_MASK,
        "NOT_TIF_SIGPENDING": ~sched.TIF_SIGPENDING, "NOT_HANDLER_CLEARS": ~flags,
        "FIX_EFLAGS": FIX_EFLAGS, "NOT_FIX_EFLAGS": ~FIX_EFLAGS,
    }


def _lazyinit_numbers() -> dict[str, int]:
    """Return what the example of lazy initialisation uses."""
    fields = {name.upper(): field.offset for kind in (lazy_init, li_request)
              for name, field in kind.fields.items()}
    return fields | {"LI_GROUP_SIZE": LI_GROUP_SIZE, "LI_GROUP_WORDS": LI_GROUP_SIZE // 8}


def numbers(rows: Sequence[Row]) -> dict[str, int]:
    """Return every number that the assembly uses by name."""
    names = {f"PT_{name.upper()}": field.offset for name, field in pt_regs.fields.items()}
    names |= {f"PCPU_{name.upper()}": field.offset for name, field in pcpu_hot.fields.items()}
    names |= {f"TASK_{name.upper()}": task_struct.offsetof(path) for name, path in (
        ("ti_flags", "thread_info.flags"), ("syscall_work", "thread_info.syscall_work"),
        ("stack", "stack"), ("flags", "flags"), ("pid", "pid"), ("tgid", "tgid"),
        ("thread_sp", "thread.sp"), ("fsbase", "thread.fsbase"), ("gsbase", "thread.gsbase"),
        ("fxsave", "fxsave"), ("set_child_tid", "set_child_tid"),
        ("mm", "mm"), ("min_flt", "min_flt"), ("worker_private", "worker_private"),
        ("robust_list", "robust_list"), ("on_rq", "on_rq"), ("on_cpu", "on_cpu"),
        ("nvcsw", "nvcsw"), ("nivcsw", "nivcsw"), ("pcount", "sched_info.pcount"),
        ("run_delay", "sched_info.run_delay"), ("last_arrival", "sched_info.last_arrival"),
        ("last_queued", "sched_info.last_queued"), ("exec_start", "se.exec_start"),
        ("sum_exec_runtime", "se.sum_exec_runtime"),
        ("prev_sum_exec_runtime", "se.prev_sum_exec_runtime"),
        ("uid", "uid"), ("euid", "euid"), ("gid", "gid"), ("egid", "egid"))}
    names |= _fault_numbers()
    names |= _fair_numbers()
    names |= _signal_numbers()
    names |= _lazyinit_numbers()
    names |= {f"HC_{call.name}": call.value for call in HostCall}
    names |= {name: value for name, value in vars(sched).items() if name.startswith("WORK_")}
    calls = {row.name: row.number for row in rows}
    cr0 = CR0.WP | CR0.NE | CR0.MP
    cr4 = CR4.PGE | CR4.OSFXSR | CR4.OSXMMEXCPT
    return names | {
        # In brackets only the last symbol counts.
        "SP_FROM_ORIG_AX": pt_regs.offsetof("sp") - pt_regs.offsetof("orig_ax"),
        "HOST_CALL_PORT": HOST_CALL_PORT, "NR_SYSCALLS": _nr_syscalls(rows),
        "NR_FORK": calls["fork"], "NR_CLONE": calls["clone"], "CLONE_VM": sched.CLONE_VM,
        "HALF_PAGE": PAGE_SIZE // 2, "ROBUST_LIST_HEAD_SIZE": sched.ROBUST_LIST_HEAD_SIZE,
        "ROBUST_LIST_OP_PENDING": sched.ROBUST_LIST_OP_PENDING,
        "MINUS_ENOSYS": -Errno.ENOSYS,
        "THREAD_SIZE": THREAD_SIZE, "PAGE_SIZE": PAGE_SIZE,
        "KTHREAD_DATA": sched.kthread.offsetof("data"),
        "KTHREAD_FLAGS": sched.kthread.offsetof("flags"),
        "KTHREAD_SHOULD_STOP": sched.KTHREAD_SHOULD_STOP,
        "KTHREAD_THREADFN": sched.kthread.offsetof("threadfn"),
        "TASK_RUNNING": sched.TASK_RUNNING, "TASK_INTERRUPTIBLE": sched.TASK_INTERRUPTIBLE,
        "NR_EVENTS": NR_EVENTS, "EVENTS_SIZE": (NR_EVENTS + 1) * 24,
        "TIF_EXIT_WORK": sched.TIF_EXIT_WORK, "TIF_NEED_RESCHED": sched.TIF_NEED_RESCHED,
        "RFLAGS_IF": int(RFLAGS.IF), "TIF_SIGPENDING": sched.TIF_SIGPENDING,
         "PF_KTHREAD": sched.PF_KTHREAD,
        "KERNEL_CS": descriptors.KERNEL_CS, "KERNEL_DS": descriptors.KERNEL_DS,
        "USER_CS": descriptors.USER_CS, "USER_DS": descriptors.USER_DS,
        "TSS_SELECTOR": descriptors.TSS_SELECTOR, "TSS_RSP0": descriptors.TSS_RSP0,
        "MSR_EFER": MSR.IA32_EFER, "MSR_STAR": MSR.IA32_STAR, "MSR_LSTAR": MSR.IA32_LSTAR,
        "MSR_FMASK": MSR.IA32_FMASK, "MSR_FS_BASE": MSR.IA32_FS_BASE,
        "MSR_GS_BASE": MSR.IA32_GS_BASE, "MSR_KERNEL_GS_BASE": MSR.IA32_KERNEL_GS_BASE,
        "EFER_SCE_NXE": int(EFER.SCE | EFER.NXE),
        "STAR_HIGH": descriptors.USER32_CS << 16 | descriptors.KERNEL_CS,
        # As Linux: everything that could disturb ring 0.
        "SYSCALL_FMASK": int(
            RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.TF | RFLAGS.IF
            | RFLAGS.DF | RFLAGS.OF | RFLAGS.IOPL | RFLAGS.NT | RFLAGS.RF | RFLAGS.AC | RFLAGS.ID),
        "RFLAGS_RF_TF": int(RFLAGS.RF | RFLAGS.TF),
        "CR0_BITS": int(cr0), "CR4_BITS": int(cr4),
        "NOT_CR4_PGE": 0xFFFF_FFFF & ~int(CR4.PGE),
    }
