"""The ELF loader: from a file's program headers to an address space ready to run.

What is a valid program is Linux's opinion, check by check, because a program that Linux runs must
run and one that it refuses must be refused with the same error.  Structures are pyelftools'
(elf_structs.py).

See: Linux fs/binfmt_elf.c load_elf_binary(), elf_load(), create_elf_tables(); elf(5).
"""

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from emulator.arch.descriptors import USER_CS, USER_DS
from emulator.arch.paging import PAGE_MASK, PAGE_SIZE
from emulator.arch.registers import RFLAGS
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.read_write import kernel_read
from guest_kernel.kernel import Kernel
from guest_kernel.layout.fs import file
from guest_kernel.layout.mm_types import (
    STACK_TOP,
    TASK_SIZE,
    VM_EXEC,
    mm_struct,
)
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.mmap import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    do_mmap,
    get_unmapped_area,
    vm_brk_flags,
)
from guest_kernel.mm.uaccess import clear_user, copy_to_user
from guest_kernel.process.elf_structs import record

EM_X86_64: Final = 62
ET_EXEC: Final = 2
ET_DYN: Final = 3
PT_LOAD: Final = 1
PT_INTERP: Final = 3
PT_GNU_STACK: Final = 0x6474_E551
PF_X: Final = 1
PF_W: Final = 2
PF_R: Final = 4

ELF_MAX_PHDRS_SIZE: Final = 65536
ELF_ET_DYN_BASE: Final = TASK_SIZE // 3 * 2 & PAGE_MASK  # where a static PIE goes
PATH_MAX: Final = 4096

# Auxiliary vector, getauxval(3).
AT_NULL: Final = 0
AT_PHDR: Final = 3
AT_PHENT: Final = 4
AT_PHNUM: Final = 5
AT_PAGESZ: Final = 6
AT_BASE: Final = 7
AT_FLAGS: Final = 8
AT_ENTRY: Final = 9
AT_UID: Final = 11
AT_EUID: Final = 12
AT_GID: Final = 13
AT_EGID: Final = 14
AT_PLATFORM: Final = 15
AT_HWCAP: Final = 16
AT_CLKTCK: Final = 17
AT_SECURE: Final = 23
AT_RANDOM: Final = 25
AT_HWCAP2: Final = 26
AT_EXECFN: Final = 31
AT_SYSINFO_EHDR: Final = 33
AT_MINSIGSTKSZ: Final = 51

CLOCKS_PER_SEC: Final = 100  # USER_HZ
MINSIGSTKSZ: Final = 1360  # frame of rt_sigreturn with FXSAVE state: no XSAVE on this CPU
HWCAP: Final = 0x178BFBFF  # CPUID.1:EDX of the CPU model


class ElfSegment(NamedTuple):
    """A program header."""

    type: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    flags: int
    align: int


class ElfHeader(NamedTuple):
    """What is used of the ELF header."""

    type: int
    entry: int
    phdrs: tuple[ElfSegment, ...]
    phoff: int


class Loaded(NamedTuple):
    """A mapped image."""

    bias: int
    entry: int
    start_code: int
    end_code: int
    start_data: int
    end_data: int
    end: int  # of its memory, .bss included
    phdr: int  # address of the program headers in memory, or 0


def _noexec() -> SyscallError:
    return SyscallError(Errno.ENOEXEC)


def parse(f: file, head: bytes) -> ElfHeader:
    """Parse and check the headers of ``f``.

    Args:
        head: the first bytes of the file, at most a page.

    Raises:
        SyscallError: ENOEXEC, it is no x86-64 ELF program.
    """
    ehdr, phdr = record("Elf_Ehdr"), record("Elf_Phdr")
    if len(head) < ehdr.size or head[:4] != b"\x7fELF":
        raise _noexec()
    header = ehdr.read(head)  # Linux looks at nothing of e_ident but the magic
    if header["e_type"] not in (ET_EXEC, ET_DYN) or header["e_machine"] != EM_X86_64:
        raise _noexec()
    size = header["e_phnum"] * phdr.size
    if header["e_phentsize"] != phdr.size or not 0 < size <= ELF_MAX_PHDRS_SIZE:
        raise _noexec()
    phoff = header["e_phoff"]
    if phoff + size > f.f_inode.i_size:
        raise _noexec()
    table = (head[phoff : phoff + size] if phoff + size <= len(head)
             else kernel_read(f, size, phoff))
    return ElfHeader(header["e_type"], header["e_entry"], _segments(table), phoff)


@lru_cache(maxsize=64)
def _segments(table: bytes) -> tuple[ElfSegment, ...]:
    """Return the program headers in ``table``; those of a program that runs often are kept."""
    phdr = record("Elf_Phdr")
    segments = []
    for place in range(0, len(table), phdr.size):
        p = phdr.read(table, place)
        segments.append(ElfSegment(p["p_type"], p["p_offset"], p["p_vaddr"], p["p_filesz"],
                                   p["p_memsz"], p["p_flags"], p["p_align"]))
    return tuple(segments)


def interpreter(f: file, header: ElfHeader) -> bytes | None:
    """Return the path of the program interpreter that ``f`` asks for.

    Raises:
        SyscallError: ENOEXEC, the path is no string; EIO, it lies behind the end of the file.
    """
    for segment in header.phdrs:
        if segment.type == PT_INTERP:
            if not 2 <= segment.filesz <= PATH_MAX:
                raise _noexec()
            path = kernel_read(f, segment.filesz, segment.offset)
            if len(path) < segment.filesz:
                raise SyscallError(Errno.EIO)
            if path[-1]:
                raise _noexec()
            return path.partition(b"\0")[0]
    return None


def _protection(flags: int) -> int:
    return ((PROT_READ if flags & PF_R else 0) | (PROT_WRITE if flags & PF_W else 0)
            | (PROT_EXEC if flags & PF_X else 0))


def _page_align(value: int) -> int:
    return -(-value // PAGE_SIZE) * PAGE_SIZE


def load(mm: mm_struct, f: file, header: ElfHeader, base: int) -> Loaded:
    """Map the segments of ``f``; pages are read when they are touched.

    Args:
        base: where a position-independent image goes; 0: anywhere.

    Raises:
        SyscallError: EINVAL, ENOMEM, ENOEXEC: the segments cannot be mapped.
    """
    loads = [s for s in header.phdrs if s.type == PT_LOAD]
    if not loads:
        raise _noexec()
    bias = 0
    if header.type == ET_DYN:
        alignment = max([s.align for s in loads if s.align & (s.align - 1) == 0], default=0)
        if base and alignment:
            base = base & -alignment
        bias = base - (loads[0].vaddr & PAGE_MASK)
    start_code, end_code, start_data, end_data, end = (1 << 64) - 1, 0, 0, 0, 0
    phdr = 0
    first = True
    for s in loads:
        if s.filesz > s.memsz or s.memsz > TASK_SIZE:
            raise SyscallError(Errno.EINVAL)
        if not 0 <= bias + s.vaddr <= TASK_SIZE - s.memsz:
            raise SyscallError(Errno.ENOMEM if first else Errno.EINVAL)
        total = _total_size(loads) if first and header.type == ET_DYN else 0
        if first and header.type == ET_DYN and not base:
            bias = _reserve_area(mm, total) - (loads[0].vaddr & PAGE_MASK)
        _map_segment(mm, f, s, bias + s.vaddr, total, fixed=not first or header.type == ET_EXEC)
        first = False
        if s.offset <= header.phoff < s.offset + s.filesz:
            phdr = header.phoff - s.offset + s.vaddr + bias
        if s.flags & PF_X:
            start_code = min(start_code, bias + s.vaddr)
            end_code = max(end_code, bias + s.vaddr + s.filesz)
        start_data = max(start_data, bias + s.vaddr)
        end_data = max(end_data, bias + s.vaddr + s.filesz)
        end = max(end, bias + s.vaddr + s.memsz)
    return Loaded(bias, header.entry + bias, start_code, end_code, start_data, end_data, end, phdr)


def _total_size(loads: list[ElfSegment]) -> int:
    return max(s.vaddr + s.memsz for s in loads) - (min(s.vaddr for s in loads) & PAGE_MASK)


def _reserve_area(mm: mm_struct, total: int) -> int:
    return get_unmapped_area(mm, 0, _page_align(total), MAP_PRIVATE)


def _map_segment(mm: mm_struct, f: file, s: ElfSegment, va: int, total: int, *,
                 fixed: bool) -> None:
    """Map one PT_LOAD segment at ``va``: its part of the file, then zeros."""
    k: Kernel = mm.k
    prot = _protection(s.flags)
    in_page = s.vaddr % PAGE_SIZE
    start = va - in_page
    file_end = start
    if s.filesz:
        if (s.offset - s.vaddr) % PAGE_SIZE:
            raise SyscallError(Errno.EINVAL)
        size = _page_align(s.filesz + in_page)
        flags = MAP_PRIVATE | (MAP_FIXED if fixed else MAP_FIXED_NOREPLACE)
        do_mmap(mm, f, start, size, prot, flags, (s.offset - in_page) // PAGE_SIZE)
        file_end = start + size
        if s.memsz > s.filesz and prot & PROT_WRITE:
            # What the file has behind the segment must not show through, neither at the start of
            # .bss nor behind it: a dynamic linker takes memory from there.
            clear_user(k, va + s.filesz, file_end - (va + s.filesz))
    zeros_end = _page_align(va + s.memsz)
    if zeros_end > file_end:
        vm_brk_flags(mm, file_end, zeros_end - file_end, VM_EXEC if prot & PROT_EXEC else 0)


# The initial stack


class Strings(NamedTuple):
    """Where execve put its strings: addresses in the new stack."""

    argv: list[int]
    envp: list[int]
    execfn: int
    bottom: int


def push_strings(k: Kernel, argv: list[bytes], envp: list[bytes], filename: bytes) -> Strings:
    """Copy the strings to the top of the new stack, as execve(2) leaves them: argv, envp, name.

    Raises:
        SyscallError: EFAULT, the stack has no room.
    """
    blob = b"".join(s + b"\0" for s in [*argv, *envp, filename])
    bottom = STACK_TOP - 8 - len(blob)
    copy_to_user(k, bottom, blob)
    addresses, place = [], bottom
    for s in [*argv, *envp, filename]:
        addresses.append(place)
        place += len(s) + 1
    return Strings(addresses[: len(argv)], addresses[len(argv) : -1], addresses[-1], bottom)


_M64: Final = (1 << 64) - 1
_auxv: Final = struct.Struct("<42Q")
_SAVED_AUXV: Final = mm_struct.offsetof("saved_auxv")


def create_elf_tables(task: task_struct, mm: mm_struct, strings: Strings, header: ElfHeader,
                      program: Loaded, interp_base: int) -> int:
    """Write argc, argv, envp and the auxiliary vector below the strings.

    Returns:
        The initial RSP.
    """
    k: Kernel = task.k
    platform = (strings.bottom & ~0xF) - 16
    random = platform - 16
    auxv = _auxv.pack(
        AT_SYSINFO_EHDR, mm.vdso, AT_HWCAP, HWCAP, AT_PAGESZ, PAGE_SIZE, AT_CLKTCK, CLOCKS_PER_SEC,
        AT_PHDR, program.phdr, AT_PHENT, record("Elf_Phdr").size, AT_PHNUM, len(header.phdrs),
        AT_BASE, interp_base, AT_FLAGS, 0, AT_ENTRY, program.entry & _M64, AT_UID, task.uid,
        AT_EUID, task.euid, AT_GID, task.gid, AT_EGID, task.egid, AT_SECURE, 0, AT_RANDOM, random,
        AT_HWCAP2, 0, AT_EXECFN, strings.execfn, AT_PLATFORM, platform,
        AT_MINSIGSTKSZ, MINSIGSTKSZ, AT_NULL, 0)
    words = [len(strings.argv), *strings.argv, 0, *strings.envp, 0]
    size = 8 * len(words) + len(auxv)
    rsp = (random - size) & ~0xF
    table = struct.pack(f"<{len(words)}Q", *words) + auxv
    copy_to_user(k, rsp, b"".join((table.ljust(random - rsp, b"\0"), k.get_random_bytes(16),
                                   b"x86_64\0")))
    saved = mm.pa + _SAVED_AUXV
    k.u8[saved : saved + len(auxv)] = auxv
    mm.start_stack = rsp
    first = strings.argv[0] if strings.argv else strings.bottom
    after = strings.envp[0] if strings.envp else strings.execfn
    mm.arg_start, mm.arg_end = first, after
    mm.env_start, mm.env_end = after, strings.execfn
    return rsp


def start_thread(regs: pt_regs, entry: int, rsp: int) -> None:
    """Make ``regs`` those of a program that is about to execute its first instruction."""
    regs.clear()
    regs.ip, regs.sp = entry, rsp
    regs.cs, regs.ss = USER_CS, USER_DS
    regs.flags = RFLAGS.IF | RFLAGS.RESERVED1
    regs.orig_ax = (1 << 64) - 1
