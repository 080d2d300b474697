"""execve: a new program for the task that calls.

See: Linux fs/exec.c; execve(2).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.fcntl import AT_FDCWD
from guest_kernel.fs.file import do_close_on_exec, files_of
from guest_kernel.fs.open import do_open_execat
from guest_kernel.fs.read_write import kernel_read
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.mm_types import STACK_TOP, mm_struct
from guest_kernel.layout.sched import (
    PF_FORKNOEXEC,
    PF_KTHREAD,
    RLIMIT_STACK,
    WORK_LOAD_BASES,
    WORK_LOAD_CR3,
    WORK_LOAD_FPU,
    pcpu_hot,
    task_struct,
)
from guest_kernel.mm.filemap import fput
from guest_kernel.mm.mm import arch_pick_mmap_layout, mm_alloc, mmput, set_mm_exe_file
from guest_kernel.mm.mmap import map_stack
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.process import binfmt_elf
from guest_kernel.process.exit import do_exit
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.signal.numbers import SIGSEGV

MAX_ARG_STRLEN: Final = 131072
ARG_MAX_DEFAULT: Final = 6 << 20  # three quarters of the default stack limit of 8 MiB
STACK_EXPAND: Final = 131072  # the stack is mapped this far below its strings at once

# FXSAVE image after FNINIT and with MXCSR's default.  See Intel SDM vol. 1, "FXSAVE Area".
_FCW: Final = 0x37F
_MXCSR: Final = 0x1F80


def kernel_execve(task: task_struct, filename: bytes, argv: list[bytes],
                  envp: list[bytes]) -> None:
    """Make the current task the program ``filename``.

    Up to the point of no return, begin_new_exec(), nothing of the old program is touched.

    Raises:
        SyscallError: as execve(2) has it.
    """
    _check_sizes(task, argv, envp)
    program = do_open_execat(task, AT_FDCWD, filename)
    with ExitStack() as undo:
        undo.callback(fput, program)
        head = kernel_read(program, PAGE_SIZE, 0)
        header = binfmt_elf.parse(program, head)
        interp = _open_interpreter(task, program, header)
        if interp is not None:
            undo.callback(fput, interp)
        try:
            mm = mm_alloc(task.k)
        except OutOfFrames as error:
            raise SyscallError(Errno.ENOMEM) from error
        _exec(task, mm, program, header, interp, filename, argv, envp)


def _open_interpreter(task: task_struct, program: file,
                      header: binfmt_elf.ElfHeader) -> file | None:
    path = binfmt_elf.interpreter(program, header)
    return None if path is None else do_open_execat(task, AT_FDCWD, path)


def _check_sizes(task: task_struct, argv: list[bytes], envp: list[bytes]) -> None:
    """E2BIG: see execve(2), "Limits on size of arguments and environment"."""
    assert task.signal is not None
    limit = min(task.signal.rlim[RLIMIT_STACK].rlim_cur // 4, ARG_MAX_DEFAULT)
    limit = max(limit, 32 * PAGE_SIZE)
    strings = [*argv, *envp]
    total = sum(len(s) + 1 for s in strings) + 8 * len(strings)
    if total > limit or any(len(s) >= MAX_ARG_STRLEN for s in strings):
        raise SyscallError(Errno.E2BIG)


def _exec(task: task_struct, mm: mm_struct, program: file, header: binfmt_elf.ElfHeader,
          interp: file | None, filename: bytes, argv: list[bytes], envp: list[bytes]) -> None:
    """Build the new address space as the current one, and give up the old."""
    old_mm, old_active = task.mm, task.active_mm
    task.mm = task.active_mm = mm
    assert task.signal is not None
    try:
        arch_pick_mmap_layout(mm, task.signal.rlim[RLIMIT_STACK].rlim_cur)
        _map_stack(mm, header, argv, envp, filename)
        strings = binfmt_elf.push_strings(task.k, argv or [b""], envp, filename)
    except (SyscallError, OutOfFrames) as error:
        task.mm, task.active_mm = old_mm, old_active
        mmput(mm)
        if isinstance(error, OutOfFrames):
            raise SyscallError(Errno.ENOMEM) from error
        raise
    _begin_new_exec(task, mm, old_mm, filename)
    try:
        rsp, entry = _load(task, mm, program, header, interp, strings)
    except (SyscallError, OutOfFrames):
        # There is no program to return to.  See Linux bprm_execve(), force_fatal_sig().
        do_exit(task, SIGSEGV)
    binfmt_elf.start_thread(task_pt_regs(task), entry, rsp)


def _load(task: task_struct, mm: mm_struct, program: file, header: binfmt_elf.ElfHeader,
          interp: file | None, strings: binfmt_elf.Strings) -> tuple[int, int]:
    """Map the program; return RSP and the first instruction's address."""
    base = 0 if header.type != binfmt_elf.ET_DYN else binfmt_elf.ELF_ET_DYN_BASE
    loaded = binfmt_elf.load(mm, program, header, base)
    entry, interp_base = loaded.entry, 0
    if interp is not None:
        interp_header = binfmt_elf.parse(interp, kernel_read(interp, PAGE_SIZE, 0))
        linker = binfmt_elf.load(mm, interp, interp_header, 0)
        entry, interp_base = linker.entry, linker.bias
    mm.start_code, mm.end_code = loaded.start_code, loaded.end_code
    mm.start_data, mm.end_data = loaded.start_data, loaded.end_data
    mm.start_brk = mm.brk = -(-loaded.end // PAGE_SIZE) * PAGE_SIZE
    set_mm_exe_file(mm, program)
    rsp = binfmt_elf.create_elf_tables(task, mm, strings, header, loaded, interp_base)
    return rsp, entry


def _map_stack(mm: mm_struct, header: binfmt_elf.ElfHeader, argv: list[bytes],
               envp: list[bytes], filename: bytes) -> None:
    """Map the stack: as large as the strings, and a bit, at once; it grows."""
    size = sum(len(s) + 1 + 8 for s in [*argv, *envp, filename]) + PAGE_SIZE
    size = -(-(size + STACK_EXPAND) // PAGE_SIZE) * PAGE_SIZE
    stack = next((p for p in header.phdrs if p.type == binfmt_elf.PT_GNU_STACK), None)
    map_stack(mm, STACK_TOP, size, executable=stack is not None and bool(stack.flags
                                                                         & binfmt_elf.PF_X))


def _begin_new_exec(task: task_struct, mm: mm_struct, old_mm: mm_struct | None,
                    filename: bytes) -> None:
    """The point of no return: what the old program had goes."""
    k: Kernel = task.k
    do_close_on_exec(files_of(task))
    task.flags &= ~(PF_KTHREAD | PF_FORKNOEXEC)
    task.comm = filename.rpartition(b"/")[2][:15]
    task.thread.fsbase = task.thread.gsbase = 0
    task.dumpable = 1
    _reset_signals(task)
    task.set_child_tid = task.clear_child_tid = task.robust_list = task.rseq = 0
    fxsave = task.fxsave
    fxsave[:] = bytes(len(fxsave))
    fxsave[0:2] = _FCW.to_bytes(2, "little")
    fxsave[24:28] = _MXCSR.to_bytes(4, "little")
    # The old table is loaded until the assembly loads the new one: mm_count keeps it till then.
    k.data(pcpu_hot).next_cr3 = mm.pgd & PHYSICAL_MASK
    k.ask(WORK_LOAD_CR3 | WORK_LOAD_BASES | WORK_LOAD_FPU)
    if old_mm is not None:
        BUG("execve of a user task: its old table would be freed while it is loaded")


def _reset_signals(task: task_struct) -> None:
    """Handlers are gone with the old program; ignored signals stay ignored.  See signal(7)."""
    assert task.sighand is not None
    for action in task.sighand.action:
        ignored = action.handler == 1
        action.clear()
        if ignored:
            action.handler = 1
    task.sas_ss_sp = task.sas_ss_size = 0
    task.sas_ss_flags = 2  # SS_DISABLE

