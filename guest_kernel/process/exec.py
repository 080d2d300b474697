"""execve: a new program for the task that calls.

Up to the *point of no return* the old program can still be told that something is wrong; from there
on a failure kills.  In a process of several threads that point is early: the others have to end
before the address space can change, and the caller sleeps until they have.

See: Linux fs/exec.c, fs/binfmt_script.c; execve(2).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final, NamedTuple

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.fs.fcntl import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from guest_kernel.fs.file import (
    do_close_on_exec,
    files_of,
    hold_restart_file,
    task_rlimit,
    unshare_files,
)
from guest_kernel.fs.inode import deny_write_access
from guest_kernel.fs.namei import LOOKUP_EMPTY, getname
from guest_kernel.fs.open import close_exec_file, do_open_execat
from guest_kernel.fs.read_write import kernel_read
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.list import list_head
from guest_kernel.layout.mm_types import STACK_TOP, SUID_DUMP_USER, mm_struct, vm_data
from guest_kernel.layout.sched import (
    EXIT_DEAD,
    PF_FORKNOEXEC,
    PF_KTHREAD,
    PF_NPROC_EXCEEDED,
    RLIMIT_STACK,
    SIGNAL_GROUP_EXIT,
    TASK_KILLABLE,
    WORK_EXEC_MM,
    WORK_LOAD_BASES,
    WORK_LOAD_CR3,
    WORK_LOAD_FPU,
    pcpu_hot,
    sighand_struct,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import list_replace
from guest_kernel.mm.filemap import get_file
from guest_kernel.mm.mm import (
    arch_pick_mmap_layout,
    mm_alloc,
    mmdrop,
    mmput,
    set_dumpable,
    set_mm_exe_file,
)
from guest_kernel.mm.mmap import map_stack
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.uaccess import strncpy_from_user, user_words
from guest_kernel.process import binfmt_elf
from guest_kernel.process.binfmt_script import SCRIPT_MAGIC, Interpreter, parse_script
from guest_kernel.process.exit import (
    do_group_exit,
    mm_release,
    release_task,
    set_exit_state,
    setmax_mm_hiwater_rss,
)
from guest_kernel.process.fork import (
    dup_sighand,
    flush_signal_handlers,
    put_sighand,
    task_pt_regs,
)
from guest_kernel.process.fpu import init_fpstate
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    exchange_tids,
    transfer_pid,
)
from guest_kernel.process.tasks import for_each_thread, thread_group_empty
from guest_kernel.process.user import is_nproc_overlimit
from guest_kernel.process.vdso import map_vdso
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.signal.numbers import SIGCHLD, SIGKILL, SIGSEGV
from guest_kernel.signal.sigaction import sas_ss_reset
from guest_kernel.signal.signal import (
    recalc_sigpending,
    signal_of,
    signal_pa,
    zap_other_threads,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr
from guest_kernel.time.posix_timers import delete_posix_timers

MAX_ARG_STRLEN: Final = 131072
ARG_MAX_DEFAULT: Final = 6 << 20  # three quarters of the default stack limit of 8 MiB
STACK_EXPAND: Final = 131072  # the stack is mapped this far below its strings at once
BINPRM_MAX_DEPTH: Final = 5  # scripts whose interpreter is a script


class linux_binprm(NamedTuple):
    """A program about to be executed.

    Attributes:
        file: what is loaded: the program, or a script's interpreter at last.
        filename: what was asked for: the script.
        header: of the file.
        argv, envp: its strings.
    """

    file: file
    filename: bytes
    header: binfmt_elf.ElfHeader
    argv: list[bytes]
    envp: list[bytes]


def kernel_execve(task: task_struct, filename: bytes, argv: list[bytes],
                  envp: list[bytes]) -> None:
    """Make the current task the program ``filename``.

    Raises:
        SyscallError: as execve(2) has it.
        Sleep: until the other threads have ended.
    """
    with ExitStack() as undo:
        program = do_open_execat(task, AT_FDCWD, filename)
        undo.callback(close_exec_file, program)
        _bprm_execve(task, program, filename, argv, envp, undo)


def _bprm_execve(task: task_struct, program: file, filename: bytes, argv: list[bytes],
                 envp: list[bytes], undo: ExitStack) -> None:
    _check_sizes(task, [filename, *argv, *envp])
    bprm = _find_binary(task, program, filename, argv or [b""], envp, undo)
    interp = _open_interpreter(task, bprm)
    if interp is not None:
        undo.callback(close_exec_file, interp)
    de_thread(task)
    try:
        mm = mm_alloc(task.k)
    except OutOfFrames as error:
        raise SyscallError(Errno.ENOMEM) from error
    _exec(task, mm, bprm, interp)


def _find_binary(task: task_struct, program: file, filename: bytes, argv: list[bytes],
                 envp: list[bytes], undo: ExitStack) -> linux_binprm:
    """Follow scripts to their interpreters, until a file is an ELF program.

    Raises:
        SyscallError: ENOEXEC: it is neither.  ELOOP: too many scripts.  E2BIG.  What opening an
            interpreter says.
    """
    interp = filename  # by which name the file was found: a script's interpreter is told
    for _ in range(BINPRM_MAX_DEPTH + 1):
        head = kernel_read(program, PAGE_SIZE, 0)
        if head[:2] != SCRIPT_MAGIC:
            return linux_binprm(program, filename, binfmt_elf.parse(program, head), argv, envp)
        found: Interpreter = parse_script(head)
        argument = [found.argument] if found.argument else []
        argv = [found.path, *argument, interp, *argv[1:]]
        interp = found.path
        _check_sizes(task, [filename, *argv, *envp])
        program = do_open_execat(task, AT_FDCWD, found.path)
        undo.callback(close_exec_file, program)
    raise SyscallError(Errno.ELOOP)


def _open_interpreter(task: task_struct, bprm: linux_binprm) -> file | None:
    path = binfmt_elf.interpreter(bprm.file, bprm.header)
    return None if path is None else do_open_execat(task, AT_FDCWD, path)


def _arg_limit(task: task_struct) -> int:
    """Return how many bytes arguments and environment may take, their pointers counted."""
    limit = min(_stack_limit(task) // 4, ARG_MAX_DEFAULT)
    return max(limit, 32 * PAGE_SIZE)


def _check_sizes(task: task_struct, strings: list[bytes]) -> None:
    """E2BIG: see execve(2), "Limits on size of arguments and environment"."""
    total = sum(map(len, strings)) + 9 * len(strings)
    if total > _arg_limit(task) or any(len(s) >= MAX_ARG_STRLEN for s in strings):
        raise SyscallError(Errno.E2BIG)
    if _size_on_stack(strings) > max(_stack_limit(task), PAGE_SIZE):
        raise SyscallError(Errno.E2BIG)


def _stack_limit(task: task_struct) -> int:
    return task_rlimit(task, RLIMIT_STACK)


def _size_on_stack(strings: list[bytes]) -> int:
    """Return the bytes of the pages that strings take, at the end of the stack."""
    return -(-(sum(map(len, strings)) + len(strings) + 8) // PAGE_SIZE) * PAGE_SIZE


def _exec(task: task_struct, mm: mm_struct, bprm: linux_binprm, interp: file | None) -> None:
    """Build the new address space as the current one, and give up the old."""
    old_mm, old_active = task.mm, task.active_mm
    task.mm = task.active_mm = mm
    try:
        arch_pick_mmap_layout(mm, _stack_limit(task))
        _map_stack(mm, bprm, _stack_limit(task))
        strings = binfmt_elf.push_strings(task.k, bprm.argv, bprm.envp, bprm.filename)
    except (SyscallError, OutOfFrames) as error:
        task.mm, task.active_mm = old_mm, old_active
        mmput(mm)
        if isinstance(error, OutOfFrames):
            raise SyscallError(Errno.ENOMEM) from error
        raise
    task.mm, task.active_mm = old_mm, old_active
    _begin_new_exec(task, mm, bprm.filename)
    try:
        rsp, entry = _load(task, mm, bprm, interp, strings)
    except (SyscallError, OutOfFrames):
        # There is no program to return to.  See Linux bprm_execve(), force_fatal_sig().
        do_group_exit(task, SIGSEGV)
    binfmt_elf.start_thread(task_pt_regs(task), entry, rsp)


def _load(task: task_struct, mm: mm_struct, bprm: linux_binprm, interp: file | None,
          strings: binfmt_elf.Strings) -> tuple[int, int]:
    """Map the program; return RSP and the first instruction's address."""
    header = bprm.header
    base = 0 if header.type != binfmt_elf.ET_DYN else binfmt_elf.ELF_ET_DYN_BASE
    loaded = binfmt_elf.load(mm, bprm.file, header, base)
    entry, interp_base = loaded.entry, 0
    if interp is not None:
        interp_header = binfmt_elf.parse(interp, kernel_read(interp, PAGE_SIZE, 0))
        linker = binfmt_elf.load(mm, interp, interp_header, 0)
        entry, interp_base = linker.entry, linker.bias
    mm.start_code, mm.end_code = loaded.start_code, loaded.end_code
    mm.start_data, mm.end_data = loaded.start_data, loaded.end_data
    mm.start_brk = mm.brk = -(-loaded.end // PAGE_SIZE) * PAGE_SIZE
    set_mm_exe_file(mm, bprm.file)
    map_vdso(mm)
    rsp = binfmt_elf.create_elf_tables(task, mm, strings, header, loaded, interp_base)
    return rsp, entry


def _map_stack(mm: mm_struct, bprm: linux_binprm, limit: int) -> None:
    """Map the stack: as large as the strings, and a bit, at once; it grows."""
    used = _size_on_stack([*bprm.argv, *bprm.envp, bprm.filename])
    size = max(used, min(used + STACK_EXPAND, limit // PAGE_SIZE * PAGE_SIZE))
    stack = next((p for p in bprm.header.phdrs if p.type == binfmt_elf.PT_GNU_STACK), None)
    map_stack(mm, STACK_TOP, size, executable=stack is not None and bool(stack.flags
                                                                         & binfmt_elf.PF_X))


def _begin_new_exec(task: task_struct, mm: mm_struct, filename: bytes) -> None:
    """The point of no return: what the old program had goes."""
    k: Kernel = task.k
    unshare_files(task)
    _exec_mmap(task, mm)
    if signal_of(task).has_timers:
        delete_posix_timers(task)
    _unshare_sighand(task)
    task.flags &= ~(PF_KTHREAD | PF_FORKNOEXEC)
    task.thread.fsbase = task.thread.gsbase = 0
    init_fpstate(task)
    k.ask(WORK_LOAD_BASES | WORK_LOAD_FPU)
    do_close_on_exec(files_of(task))
    sas_ss_reset(task)
    set_dumpable(mm, SUID_DUMP_USER)
    task.comm = filename.rpartition(b"/")[2][:15]
    task.set_child_tid = task.clear_child_tid = task.robust_list = task.rseq = 0
    task.pdeath_signal = 0 if task.euid != task.uid else task.pdeath_signal
    assert task.sighand is not None
    flush_signal_handlers(k, task.sighand.pa)


def _exec_mmap(task: task_struct, mm: mm_struct) -> None:
    """Take the new address space; the old one's table is loaded until the assembly loads this."""
    k: Kernel = task.k
    old, borrowed = task.mm, task.active_mm
    if old is not None:
        mm_release(task)
    elif borrowed is not None and borrowed != k.data(vm_data).init_mm:
        mmdrop(borrowed)  # not the last: those who use it have one together
    task.mm = task.active_mm = mm
    pcpu = k.data(pcpu_hot)
    pcpu.next_cr3 = mm.pgd & PHYSICAL_MASK
    k.ask(WORK_LOAD_CR3)
    if old is not None:
        setmax_mm_hiwater_rss(signal_pa(task), old)
        pcpu.prev_mm = old
        k.ask(WORK_EXEC_MM)


def _unshare_sighand(task: task_struct) -> None:
    """Stop sharing handlers with a process that was cloned with CLONE_SIGHAND."""
    k: Kernel = task.k
    old = task.sighand
    assert old is not None
    if old.count > 1:
        task.sighand = sighand_struct(k, dup_sighand(k, old.pa))
        put_sighand(k, old.pa)


def de_thread(task: task_struct) -> None:
    """End all other threads of the group; the caller becomes its leader.

    Raises:
        Sleep: they have not all ended yet; the call is made again.
        SyscallError: EAGAIN: another thread does the same, or the group is ending.
    """
    signal = signal_of(task)
    if thread_group_empty(task):
        signal.group_exec_task = None
        signal.notify_count = 0
        return
    if signal.flags & SIGNAL_GROUP_EXIT or signal.group_exec_task not in (None, task):
        raise SyscallError(Errno.EAGAIN)
    if signal.group_exec_task is None:
        signal.group_exec_task = task
        zap_other_threads(task)
    leader = task.group_leader
    assert leader is not None
    others = sum(thread not in (task, leader) for thread in for_each_thread(task))
    if others:
        _wait_for_threads(task, signal, others)
    if leader != task:
        if not leader.exit_state:
            _wait_for_threads(task, signal, -1)
        _become_leader(task, leader)
    signal.group_exec_task = None
    signal.notify_count = 0
    recalc_sigpending(task)


def _wait_for_threads(task: task_struct, signal: signal_struct, count: int) -> None:
    """Sleep until ``count`` threads have ended; -1: the leader.

    Raises:
        Sleep: always, but for:
        SyscallError: EAGAIN: the caller is being killed.
    """
    signal.notify_count = count
    try:
        schedule_timeout(task, state=TASK_KILLABLE)
    except SyscallError:
        signal.group_exec_task = None
        signal.notify_count = 0
        raise SyscallError(Errno.EAGAIN) from None


def _become_leader(task: task_struct, leader: task_struct) -> None:
    """Take over the number, and the place, of the group's leader, which is a zombie."""
    task.start_time, task.start_boottime = leader.start_time, leader.start_boottime
    exchange_tids(task, leader)
    for kind in (PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID):
        transfer_pid(leader, task, kind)
    _take_place(leader.tasks, task.tasks)
    _take_place(leader.sibling, task.sibling)
    task.group_leader = leader.group_leader = task
    task.exit_signal, leader.exit_signal = SIGCHLD, -1
    set_exit_state(leader, EXIT_DEAD)
    release_task(leader)


def _take_place(old: list_head, new: list_head) -> None:
    list_replace(old, new)
    old.next = old.prev = old  # on no list


# System calls


def _copy_strings(current: task_struct, va: int) -> list[bytes]:
    """Return the strings of a NULL-terminated array at ``va``; none if ``va`` is NULL.

    Raises:
        SyscallError: EFAULT.  E2BIG: there are too many, or one is too long.
    """
    k: Kernel = current.k
    strings: list[bytes] = []
    if not va:
        return strings
    limit = _arg_limit(current)
    total = 0
    for pointer in user_words(k, va):
        if not pointer:
            break
        text = strncpy_from_user(k, pointer, MAX_ARG_STRLEN)
        total += len(text) + 9
        if len(text) >= MAX_ARG_STRLEN or total > limit:
            raise SyscallError(Errno.E2BIG)
        strings.append(text)
    return strings


def _reopen_execat(current: task_struct) -> file | None:
    """Return the program of a call that has slept; None if it has not.

    The path may lead nowhere by now: /proc/self is the leader, which the call has ended.

    Raises:
        SyscallError: ETXTBSY: it has been opened for writing meanwhile, which Linux does not let
            happen.
    """
    filp = current.restart_block.filp
    if not filp:
        return None
    program = file(current.k, filp & PHYSICAL_MASK)
    deny_write_access(program)
    return get_file(program)


def do_execveat(current: task_struct, fd: int, name: int, argv: int, envp: int,
                flags: int) -> int:
    """Execute the program that a user's arguments name.

    Raises:
        SyscallError, Sleep: as execveat(2).
    """
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
        raise SyscallError(Errno.EINVAL)
    filename = getname(current, name, LOOKUP_EMPTY if flags & AT_EMPTY_PATH else 0)
    if current.flags & PF_NPROC_EXCEEDED and is_nproc_overlimit(current):
        raise SyscallError(Errno.EAGAIN)
    current.flags &= ~PF_NPROC_EXCEEDED
    signal = signal_of(current)
    try:
        with ExitStack() as undo:
            program = _reopen_execat(current) or do_open_execat(current, fd, filename, flags)
            undo.callback(close_exec_file, program)
            if fd != AT_FDCWD and filename[:1] != b"/":
                filename = b"/dev/fd/%d" % fd + (b"/" + filename if filename else b"")
            try:
                _bprm_execve(current, program, filename, _copy_strings(current, argv),
                             _copy_strings(current, envp), undo)
            except Sleep:
                hold_restart_file(current, program)
                raise
    except SyscallError:
        if signal.group_exec_task == current:
            do_group_exit(current, SIGKILL)  # the other threads are dead: too late to go back
        raise
    return 0


@SYSCALL_DEFINE
def sys_execve(current: task_struct, filename: UserPtr, argv: UserPtr, envp: UserPtr) -> int:
    """Replace the program.  See execve(2).

    Limits: set-user-ID bits are not honoured.
    """
    return do_execveat(current, AT_FDCWD, filename, argv, envp, 0)


@SYSCALL_DEFINE
def sys_execveat(current: task_struct, fd: Int, filename: UserPtr, argv: UserPtr, envp: UserPtr,
                 flags: Int) -> int:
    """Replace the program, found from a directory or through a descriptor.  See execveat(2).

    Limits: as execve.
    """
    return do_execveat(current, fd, filename, argv, envp, flags)
