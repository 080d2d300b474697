"""Core dumps: what a process was when a signal ended it, as an ELF file named ``core``.

The file has a note segment and a segment for each mapping.  The notes say how each thread stood,
the one that took the signal first; of the mappings only what cannot be had from elsewhere is
written: memory of the process's own, and of a mapped program the page with its ELF header.  Pages
that were never touched are holes.

Linux first waits until all other threads have stopped in do_exit().  Here they stand already: there
is one CPU, this code runs on it, and whoever does not run has its registers on its kernel stack and
its FPU state in its ``task_struct``.

See: core(5), elf(5); Linux fs/coredump.c, fs/binfmt_elf.c elf_core_dump().
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from emulator.arch.paging import FRAME_MASK, PAGE_SIZE
from guest_kernel.errors import SyscallError
from guest_kernel.fs.d_path import d_path
from guest_kernel.fs.fcntl import AT_FDCWD, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY
from guest_kernel.fs.file import task_rlimit
from guest_kernel.fs.namei import do_unlinkat
from guest_kernel.fs.namespace import load_path
from guest_kernel.fs.open import do_truncate, filp_open
from guest_kernel.fs.read_write import kernel_write
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.mm_types import (
    AT_VECTOR_SIZE,
    SUID_DUMP_USER,
    VM_DONTDUMP,
    VM_EXEC,
    VM_IO,
    VM_OPS_NONE,
    VM_OPS_SHMEM,
    VM_OPS_SPECIAL,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    mm_struct,
    shmem,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    RLIMIT_CORE,
    SIGNAL_GROUP_EXIT,
    TASK_STATE_ARRAY,
    task_struct,
)
from guest_kernel.mm.fault import PageFaultFailed
from guest_kernel.mm.filemap import fput
from guest_kernel.mm.memory import fault_in
from guest_kernel.mm.mm import get_dumpable
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.pgtable import pte_lookup
from guest_kernel.mm.shmem import shmem_is_resident
from guest_kernel.mm.uaccess import read_mm
from guest_kernel.mm.vma import for_each_vma
from guest_kernel.printk import KERN_INFO, printk
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.pid import task_pgrp_nr, task_session_nr
from guest_kernel.process.tasks import for_each_thread, thread_group_leader
from guest_kernel.sched.core import task_state
from guest_kernel.signal.signal import COREDUMP, SIGINFO_SIZE, signal_of, zap_other_threads
from guest_kernel.time.clocks import task_cputime, thread_group_cputime
from guest_kernel.time.timekeeping import NSEC_PER_SEC, NSEC_PER_USEC

CORE_PATTERN: Final = b"core"
MIN_COREDUMP: Final = PAGE_SIZE  # RLIMIT_CORE below it: no attempt is made

# ---- the file: elf(5)
_ET_CORE: Final = 4
_EM_X86_64: Final = 62
_PT_LOAD: Final = 1
_PT_NOTE: Final = 4
_PF_X: Final = 1
_PF_W: Final = 2
_PF_R: Final = 4
_EHDR: Final = struct.Struct("<4s5B7xHHIQQQIHHHHHH")
_PHDR: Final = struct.Struct("<IIQQQQQQ")  # type flags offset vaddr paddr filesz memsz align
_ELFMAG: Final = b"\x7fELF"

# ---- notes: Linux include/uapi/linux/elf.h, elfcore.h
NT_PRSTATUS: Final = 1
NT_PRFPREG: Final = 2
NT_PRPSINFO: Final = 3
NT_AUXV: Final = 6
NT_FILE: Final = 0x46494C45
NT_SIGINFO: Final = 0x53494749
_NHDR: Final = struct.Struct("<III")  # namesz descsz type
_NAME: Final = b"CORE\0".ljust(8, b"\0")  # padded; its size is 5
# signo code errno, cursig, pending, blocked, pid ppid pgrp sid, utime stime cutime cstime
_PRSTATUS: Final = struct.Struct("<iiih2xQQiiii8q")
_ELF_GREGSET_REST: Final = struct.Struct("<6Q")  # fs_base gs_base ds es fs gs, behind pt_regs
_PRFPVALID: Final = struct.Struct("<i4x")
# state sname zomb nice, flags, uid gid, pid ppid pgrp sid, fname, arguments
_PRPSINFO: Final = struct.Struct("<bcbb4xQIIiiii16s80s")
_ELF_PRARGSZ: Final = 80
_FILE_HEADER: Final = struct.Struct("<QQ")  # number, unit of the offsets
_FILE_ENTRY: Final = struct.Struct("<QQQ")  # start end offset

_CHUNK: Final = 16 * PAGE_SIZE  # written at a time
_SAVED_AUXV: Final = mm_struct.offsetof("saved_auxv")


class DumpFailed(Exception):
    """The file could not be written, or not as a whole: RLIMIT_CORE, or no room."""


class Segment(NamedTuple):
    """A mapping, and how much of it is written."""

    vma: vm_area_struct
    size: int


class Dump:
    """A core file that is being written.

    Attributes:
        f: the file.
        limit: RLIMIT_CORE; holes do not count.
        pos: what has been written or left out so far.
    """

    def __init__(self, f: file, limit: int) -> None:
        self.f, self.limit = f, limit
        self.pos = self._written = 0

    def emit(self, data: bytes | memoryview) -> None:
        """Write at the end.

        Raises:
            DumpFailed.
        """
        if self._written + len(data) > self.limit:
            raise DumpFailed
        try:
            written = kernel_write(self.f, data, self.pos)
        except SyscallError as error:
            raise DumpFailed from error
        if written != len(data):
            raise DumpFailed
        self._written += written
        self.pos += written

    def skip(self, size: int) -> None:
        """Leave a hole."""
        self.pos += size


def do_coredump(current: task_struct, sig: int, info: bytes) -> None:
    """End the thread group by ``sig`` and write its core; the caller calls do_group_exit().

    Without a core, because of RLIMIT_CORE, PR_SET_DUMPABLE, or because the file cannot be written,
    the status of the group lacks its bit 0x80.

    Args:
        info: the siginfo.
    """
    signal = signal_of(current)
    mm = current.mm
    assert mm is not None
    if signal.flags & SIGNAL_GROUP_EXIT or get_dumpable(mm) != SUID_DUMP_USER:
        return
    limit = task_rlimit(current, RLIMIT_CORE)
    if limit < MIN_COREDUMP:
        return
    signal.flags, signal.group_exit_code = SIGNAL_GROUP_EXIT, sig
    zap_other_threads(current)
    f = None
    try:
        f = _create(current)
        _elf_core_dump(current, mm, Dump(f, limit), sig, info)
    except (SyscallError, DumpFailed, OutOfFrames):
        name = current.comm.decode("utf-8", "replace")
        printk(current.k, KERN_INFO, f"{name}[{current.pid}]: core dump failed")
    else:
        signal.group_exit_code |= COREDUMP
    finally:
        if f is not None:
            fput(f)


def _create(current: task_struct) -> file:
    """Make the file in the working directory, in place of an older one.

    Raises:
        SyscallError: as open(2).
    """
    with suppress(SyscallError):
        do_unlinkat(current, AT_FDCWD, CORE_PATTERN)
    return filp_open(current, CORE_PATTERN, O_CREAT | O_WRONLY | O_NOFOLLOW | O_EXCL, 0o600)


def _elf_core_dump(current: task_struct, mm: mm_struct, dump: Dump, sig: int,
                   info: bytes) -> None:
    segments = [Segment(vma, _dump_size(mm, vma)) for vma in for_each_vma(mm)]
    notes = _notes(current, mm, sig, info)
    start = _EHDR.size + _PHDR.size * (1 + len(segments))
    offset = -(-(start + len(notes)) // PAGE_SIZE) * PAGE_SIZE
    headers = [
        _EHDR.pack(_ELFMAG, 2, 1, 1, 0, 0, _ET_CORE, _EM_X86_64, 1, 0, _EHDR.size, 0, 0,
                   _EHDR.size, _PHDR.size, 1 + len(segments), 0, 0, 0),
        _PHDR.pack(_PT_NOTE, 0, start, 0, 0, len(notes), 0, 4)]
    for vma, size in segments:
        headers.append(_PHDR.pack(_PT_LOAD, _segment_flags(vma), offset, vma.vm_start, 0, size,
                                  vma.vm_end - vma.vm_start, PAGE_SIZE))
        offset += size
    dump.emit(b"".join(headers) + notes)
    dump.skip(-dump.pos % PAGE_SIZE)
    for vma, size in segments:
        _dump_range(mm, vma, size, dump)
    if dump.f.f_inode.i_size < dump.pos:  # it ends in a hole
        do_truncate(dump.f.f_path.dentry, dump.pos, current)


def _segment_flags(vma: vm_area_struct) -> int:
    flags = vma.vm_flags
    return (_PF_R * bool(flags & VM_READ) | _PF_W * bool(flags & VM_WRITE)
            | _PF_X * bool(flags & VM_EXEC))


# ----------------------------------------------------------------------------------- memory


def _dump_size(mm: mm_struct, vma: vm_area_struct) -> int:
    """Return how much of a mapping is written.  See Linux vma_dump_size(); the filter is 0x33."""
    size = vma.vm_end - vma.vm_start
    if vma.vm_ops == VM_OPS_SPECIAL:
        return size
    if vma.vm_flags & (VM_IO | VM_DONTDUMP):
        return 0
    f = vma.vm_file
    if vma.vm_flags & VM_SHARED:
        removed = f is None or not f.f_inode.i_nlink
        return size if removed else 0
    if f is None or vma.anon_vma:
        return size
    header = (not vma.vm_pgoff and vma.vm_flags & VM_READ
              and read_mm(mm, vma.vm_start, len(_ELFMAG)) == _ELFMAG)
    return PAGE_SIZE if header else 0


def _dump_range(mm: mm_struct, vma: vm_area_struct, size: int, dump: Dump) -> None:
    """Write the pages of a mapping that have a content of their own.

    Raises:
        DumpFailed, OutOfFrames.
    """
    u8 = mm.k.u8
    chunk = bytearray()
    for va in range(vma.vm_start, vma.vm_start + size, PAGE_SIZE):
        pa = _get_dump_page(mm, vma, va)
        if chunk and (not pa or len(chunk) == _CHUNK):
            dump.emit(bytes(chunk))
            chunk.clear()
        if pa:
            chunk += u8[pa : pa + PAGE_SIZE]
        else:
            dump.skip(PAGE_SIZE)
    if chunk:
        dump.emit(bytes(chunk))


def _get_dump_page(mm: mm_struct, vma: vm_area_struct, va: int) -> int:
    """Return the frame of a page, or 0 if it is zeros, or cannot be had."""
    k: Kernel = mm.k
    pgd = mm.pgd & PHYSICAL_MASK
    place = pte_lookup(k, pgd, va)
    pte = k.u64[place >> 3] if place else 0
    if not pte and _has_content(vma, va):
        with suppress(PageFaultFailed):
            fault_in(mm, va, False)
        place = pte_lookup(k, pgd, va)
        pte = k.u64[place >> 3] if place else 0
    frame: int = pte & FRAME_MASK
    return 0 if frame == k.data(vm_data).empty_zero_page else frame


def _has_content(vma: vm_area_struct, va: int) -> bool:
    """Tell whether a page that is not present comes from elsewhere."""
    if vma.vm_ops == VM_OPS_SHMEM:
        memory = shmem.at(vma.k, vma.vm_private_data)
        return shmem_is_resident(memory, vma.vm_pgoff + (va - vma.vm_start) // PAGE_SIZE)
    return vma.vm_ops != VM_OPS_NONE


# ------------------------------------------------------------------------------------ notes


def _notes(current: task_struct, mm: mm_struct, sig: int, info: bytes) -> bytes:
    """Return the note segment, in Linux's order."""
    threads = [current, *(t for t in for_each_thread(current) if t != current)]
    notes = [_note(NT_PRSTATUS, _prstatus(current, sig)), _note(NT_PRPSINFO, _psinfo(current, mm)),
             _note(NT_SIGINFO, info.ljust(SIGINFO_SIZE, b"\0")), _note(NT_AUXV, _auxv(mm)),
             _note(NT_FILE, _files(current, mm)), _note(NT_PRFPREG, bytes(current.fxsave))]
    for thread in threads[1:]:
        notes += [_note(NT_PRSTATUS, _prstatus(thread, sig)),
                  _note(NT_PRFPREG, bytes(thread.fxsave))]
    return b"".join(notes)


def _note(kind: int, desc: bytes) -> bytes:
    return _NHDR.pack(5, len(desc), kind) + _NAME + desc + bytes(-len(desc) % 4)


def _timeval(ns: int) -> tuple[int, int]:
    return ns // NSEC_PER_SEC, ns % NSEC_PER_SEC // NSEC_PER_USEC


def _numbers(task: task_struct) -> tuple[int, int, int, int]:
    parent = task.real_parent
    assert parent is not None
    return task.pid, parent.tgid, task_pgrp_nr(task), task_session_nr(task)


def _prstatus(task: task_struct, sig: int) -> bytes:
    """Return a ``struct elf_prstatus``.  See Linux fill_prstatus()."""
    signal, thread = signal_of(task), task.thread
    utime, stime, _ = (thread_group_cputime if thread_group_leader(task) else task_cputime)(task)
    regs = task_pt_regs(task)
    return b"".join((
        _PRSTATUS.pack(sig, 0, 0, sig, task.pending.signal, task.blocked, *_numbers(task),
                       *_timeval(utime), *_timeval(stime), *_timeval(signal.cutime),
                       *_timeval(signal.cstime)),
        bytes(task.k.u8[regs.pa : regs.pa + pt_regs.size]),
        _ELF_GREGSET_REST.pack(thread.fsbase, thread.gsbase, 0, 0, 0, 0),
        _PRFPVALID.pack(1)))


def _psinfo(current: task_struct, mm: mm_struct) -> bytes:
    """Return a ``struct elf_prpsinfo``: of the leader.  See Linux fill_psinfo()."""
    leader = current.group_leader
    assert leader is not None
    state = task_state(leader)
    index = (state & -state).bit_length()
    name = TASK_STATE_ARRAY[index][:1].encode() if index < 6 else b"."
    size = min(mm.arg_end - mm.arg_start, _ELF_PRARGSZ - 1)
    arguments = b""
    with suppress(SyscallError):
        arguments = read_mm(mm, mm.arg_start, size).replace(b"\0", b" ")
    nice = leader.static_prio - 120
    return _PRPSINFO.pack(index, name, name == b"Z", nice, leader.flags, leader.uid, leader.gid,
                          *_numbers(leader), leader.comm, arguments)


def _auxv(mm: mm_struct) -> bytes:
    """Return the auxiliary vector up to AT_NULL."""
    first = (mm.pa + _SAVED_AUXV) >> 3
    words = mm.k.u64[first : first + AT_VECTOR_SIZE].tolist()
    end = next(n for n in range(0, AT_VECTOR_SIZE, 2) if not words[n]) + 2
    return struct.pack(f"<{end}Q", *words[:end])


def _files(current: task_struct, mm: mm_struct) -> bytes:
    """Return which files were mapped where.  See Linux fill_files_note()."""
    entries, names = [], []
    for vma, f in _mapped_files(mm):
        entries.append(_FILE_ENTRY.pack(vma.vm_start, vma.vm_end, vma.vm_pgoff))
        names.append(d_path(load_path(f.f_path), current) + b"\0")
    return b"".join((_FILE_HEADER.pack(len(entries), PAGE_SIZE), *entries, *names))


def _mapped_files(mm: mm_struct) -> Iterator[tuple[vm_area_struct, file]]:
    for vma in for_each_vma(mm):
        f = vma.vm_file
        if f is not None:
            yield vma, f
