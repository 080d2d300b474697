"""Descriptors: ``files_struct`` and its tables, and the calls that only move descriptors about.

A table has an array of files and two bitmaps.  The first, for 64 descriptors, lies in the
``files_struct``; when it is full, it is replaced by one of twice the size, up to RLIMIT_NOFILE.

``fget`` takes no reference: while a handler runs nobody else can close the file.  Whoever keeps a
file (a descriptor, a mapping, a poll) calls ``get_file``.

See: Linux fs/file.c, fs/fcntl.c; dup(2), fcntl(2).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NoReturn

from guest_kernel.errors import BUG, Errno, Sleep, SyscallError
from guest_kernel.fs.fcntl import (
    CLOSE_RANGE_CLOEXEC,
    CLOSE_RANGE_UNSHARE,
    F_CREATED_QUERY,
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_DUPFD_QUERY,
    F_GETFD,
    F_GETFL,
    F_GETPIPE_SZ,
    F_SETFD,
    F_SETFL,
    F_SETPIPE_SZ,
    FD_CLOEXEC,
    O_APPEND,
    O_CLOEXEC,
    O_DIRECT,
    O_NOATIME,
    SETFL_MASK,
)
from guest_kernel.fs.inode import inode_owner_or_capable
from guest_kernel.fs.operations import file_operations
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import (
    FMODE_CAN_ODIRECT,
    FMODE_CREATED,
    FMODE_PATH,
    NR_OPEN_DEFAULT,
    S_APPEND,
    S_IFIFO,
    S_IFMT,
    SYSCTL_NR_OPEN,
    fdtable,
    file,
    files_struct,
)
from guest_kernel.layout.sched import (
    RLIMIT_NOFILE,
    rlimit,
    signal_struct,
    task_struct,
    wait_queue_head,
)
from guest_kernel.lib.bitmap import (
    clear_bit,
    find_first_bit,
    find_next_bit,
    find_next_zero_bit,
    set_bit,
    test_bit,
)
from guest_kernel.mm.filemap import fput_pa, get_file
from guest_kernel.mm.slab import (
    KMALLOC_MAX_SIZE,
    alloc_struct,
    free_struct,
    kfree,
    kfree_pa,
    kmalloc,
    kzalloc,
)
from guest_kernel.sched.wait import sleep_on
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, ULong

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_FILES: Final = task_struct.offsetof("files")
_SIGNAL: Final = task_struct.offsetof("signal")
_RLIM: Final = signal_struct.offsetof("rlim")
_RESTART_FILP: Final = task_struct.offsetof("restart_block.filp")
_FDT: Final = files_struct.offsetof("fdt")
_MAX_FDS: Final = fdtable.offsetof("max_fds")
_FD: Final = fdtable.offsetof("fd")
_F_OP: Final = file.offsetof("f_op")
_F_MODE: Final = file.offsetof("f_mode")
_F_COUNT: Final = file.offsetof("f_count")
_COUNT: Final = files_struct.offsetof("count")
_FDTAB: Final = files_struct.offsetof("fdtab")
_FD_ARRAY: Final = files_struct.offsetof("fd_array")
_CLOSE_ON_EXEC_INIT: Final = files_struct.offsetof("close_on_exec_init")
_OPEN_FDS_INIT: Final = files_struct.offsetof("open_fds_init")
_CLOSE_ON_EXEC: Final = fdtable.offsetof("close_on_exec")
_OPEN_FDS: Final = fdtable.offsetof("open_fds")


def task_rlimit(task: task_struct, resource: int) -> int:
    """Return a soft limit of ``task``."""
    u64 = task.k.u64
    signal = u64[(task.pa + _SIGNAL) >> 3] & PHYSICAL_MASK
    if not signal:
        BUG(f"{task!r} has no signal_struct")
    limit: int = u64[(signal + _RLIM + resource * rlimit.size) >> 3]
    return limit


# ---- tables


def alloc_files_struct(k: Kernel) -> files_struct:
    """Make a files_struct without open files.  See Linux init_files."""
    files = kzalloc(k, files_struct)
    k.u32[(files.pa + _FDTAB + _MAX_FDS) >> 2] = NR_OPEN_DEFAULT
    _use_first_table(k, files.pa)
    return files


def _use_first_table(k: Kernel, files: int) -> None:
    """Give a new files_struct its own table, and one reference."""
    u64, va = k.u64, files + PAGE_OFFSET
    table = files + _FDTAB
    u64[(table + _FD) >> 3] = va + _FD_ARRAY
    u64[(table + _CLOSE_ON_EXEC) >> 3] = va + _CLOSE_ON_EXEC_INIT
    u64[(table + _OPEN_FDS) >> 3] = va + _OPEN_FDS_INIT
    u64[(files + _FDT) >> 3] = va + _FDTAB
    k.u32[(files + _COUNT) >> 2] = 1


def _alloc_fdtable(k: Kernel, nr: int) -> fdtable:
    """Make an empty table for descriptors up to ``nr`` at least."""
    size = max(2 * NR_OPEN_DEFAULT, 1 << nr.bit_length())
    if size * 8 > KMALLOC_MAX_SIZE:
        raise SyscallError(Errno.ENOMEM)
    with ExitStack() as undo:
        fd = kmalloc(k, size * 8)
        undo.callback(kfree_pa, k, fd)
        bits = kmalloc(k, size // 4)
        undo.callback(kfree_pa, k, bits)
        table = kzalloc(k, fdtable)
        undo.pop_all()
    k.u8[fd : fd + size * 8] = bytes(size * 8)
    k.u8[bits : bits + size // 4] = bytes(size // 4)
    table.max_fds = size
    table.fd = fd + PAGE_OFFSET
    table.open_fds = bits + PAGE_OFFSET
    table.close_on_exec = bits + size // 8 + PAGE_OFFSET
    return table


def _free_fdtable(files: files_struct, table: fdtable) -> None:
    """Free a table, unless it is the one inside the files_struct."""
    if table != files.fdtab:
        kfree_pa(table.k, table.fd & PHYSICAL_MASK)
        kfree_pa(table.k, table.open_fds & PHYSICAL_MASK)
        kfree(table)


def _copy_fdtable(new: fdtable, old: fdtable, nr: int) -> None:
    """Copy the first ``nr`` descriptors, a multiple of 64; takes no references."""
    u8 = new.k.u8
    for to, source, size in ((new.fd, old.fd, nr * 8), (new.open_fds, old.open_fds, nr // 8),
                             (new.close_on_exec, old.close_on_exec, nr // 8)):
        to &= PHYSICAL_MASK
        source &= PHYSICAL_MASK
        u8[to : to + size] = u8[source : source + size]


def _expand_files(files: files_struct, nr: int) -> None:
    """Make the table large enough for descriptor ``nr``.

    Raises:
        SyscallError: EMFILE: no table is that large.  ENOMEM.
    """
    old = files.fdt
    if nr < old.max_fds:
        return
    if nr >= SYSCTL_NR_OPEN:
        raise SyscallError(Errno.EMFILE)
    new = _alloc_fdtable(files.k, nr)
    _copy_fdtable(new, old, old.max_fds)
    files.fdt = new
    _free_fdtable(files, old)


def dup_fd(old: files_struct) -> files_struct:
    """Make a copy, for a child that does not share its parent's (clone(2) without CLONE_FILES)."""
    k: Kernel = old.k
    u64, pa = k.u64, old.pa
    if u64[(pa + _FDT) >> 3] & PHYSICAL_MASK == pa + _FDTAB:
        # The table is copied with the structure that it lies in.
        copy = alloc_struct(k, files_struct)
        k.u8[copy : copy + files_struct.size] = k.u8[pa : pa + files_struct.size]
        _use_first_table(k, copy)
        new = files_struct(k, copy)
        first, taken = copy + _FD_ARRAY >> 3, u64[copy + _OPEN_FDS_INIT >> 3]
    else:
        new = _dup_large_table(old)
        first, taken = (new.fdt.fd & PHYSICAL_MASK) >> 3, _open_bits(k, new.fdt.pa)
    installed = 0
    for va in u64[first : first + taken.bit_length()]:
        if va:
            u64[((va & PHYSICAL_MASK) + _F_COUNT) >> 3] += 1
            installed += 1
    if installed != taken.bit_count():
        _forget_uninstalled(new)
    return new


def _dup_large_table(old: files_struct) -> files_struct:
    """Copy a table that is not the first one; takes no references."""
    new = alloc_files_struct(old.k)
    source = old.fdt
    highest = max(_open_bits(old.k, source.pa).bit_length() - 1, 0)
    if highest >= NR_OPEN_DEFAULT:
        try:
            new.fdt = _alloc_fdtable(old.k, highest)
        except BaseException:
            kfree(new)
            raise
    _copy_fdtable(new.fdt, source, (highest | 63) + 1)
    new.next_fd = old.next_fd
    return new


def _forget_uninstalled(files: files_struct) -> None:
    """Free the descriptors of a copy that another thread has taken, but not installed yet."""
    for fd in _open_descriptors(files.fdt):
        if _fd_at(files.fdt, fd) is None:
            put_unused_fd(files, fd)


def get_files_struct(files: files_struct) -> files_struct:
    """Share a files_struct with another task (CLONE_FILES)."""
    files.count += 1
    return files


def put_files_struct(files: files_struct) -> None:
    """Drop a task's share; the last one closes all files."""
    k: Kernel = files.k
    u32, u64, pa = k.u32, k.u64, files.pa
    u32[(pa + _COUNT) >> 2] = left = u32[(pa + _COUNT) >> 2] - 1
    if left:
        return
    table = u64[(pa + _FDT) >> 3] & PHYSICAL_MASK
    first = (u64[(table + _FD) >> 3] & PHYSICAL_MASK) >> 3
    for va in u64[first : first + _open_bits(k, table).bit_length()]:
        if va:
            filp_close_pa(k, va & PHYSICAL_MASK)
    if table != pa + _FDTAB:
        _free_fdtable(files, fdtable(k, table))
    free_struct(k, files_struct, pa)


def exit_files(task: task_struct) -> None:
    """Take its files from a task that exits."""
    put_restart_file(task)  # it may have died in its sleep
    k: Kernel = task.k
    u64, place = k.u64, (task.pa + _FILES) >> 3
    files = u64[place]
    if files:
        u64[place] = 0
        put_files_struct(files_struct(k, files & PHYSICAL_MASK))


def unshare_files(task: task_struct) -> None:
    """Give a task files of its own, before some of them are closed for it alone."""
    files = files_of(task)
    if files.count > 1:
        task.files = dup_fd(files)
        put_files_struct(files)


def do_close_on_exec(files: files_struct) -> None:
    """Close what has FD_CLOEXEC."""
    table = files.fdt
    k, bits = files.k, table.close_on_exec & PHYSICAL_MASK
    fd = find_first_bit(k, bits, table.max_fds)
    while fd < table.max_fds:
        f = _take_descriptor(files, fd)
        clear_bit(k, fd, bits)
        if f is not None:
            filp_close(f)
        fd = find_next_bit(k, bits, table.max_fds, fd + 1)


def files_of(task: task_struct) -> files_struct:
    """Return the files_struct of a task that has one."""
    files = task.files
    if files is None:
        BUG(f"{task!r} has no files_struct")
    return files


def _open_descriptors(table: fdtable) -> list[int]:
    """Return the descriptors that are taken, in order."""
    taken = _open_bits(table.k, table.pa)
    return [fd for fd in range(taken.bit_length()) if taken >> fd & 1]


def _open_bits(k: Kernel, table: int) -> int:
    """Return the bitmap of the descriptors that are taken as one number."""
    bits = k.u64[(table + _OPEN_FDS) >> 3] & PHYSICAL_MASK
    nr = k.u32[(table + _MAX_FDS) >> 2]
    return int.from_bytes(k.u8[bits : bits + (nr >> 3)], "little")


def _fd_at(table: fdtable, fd: int) -> file | None:
    va = table.k.u64[((table.fd & PHYSICAL_MASK) >> 3) + fd]
    return file(table.k, va & PHYSICAL_MASK) if va else None


# ---- finding a file


def fget_raw(current: task_struct, fd: int) -> file:
    """Return an open file, even one opened with O_PATH.  Takes no reference.

    Raises:
        SyscallError: EBADF.
    """
    k = current.k
    u64 = k.u64
    files = u64[(current.pa + _FILES) >> 3] & PHYSICAL_MASK
    table = u64[(files + _FDT) >> 3] & PHYSICAL_MASK
    if fd < k.u32[(table + _MAX_FDS) >> 2]:
        va = u64[((u64[(table + _FD) >> 3] & PHYSICAL_MASK) >> 3) + fd]
        if va:
            return file(k, va & PHYSICAL_MASK)
    raise SyscallError(Errno.EBADF)


def fget(current: task_struct, fd: int) -> file:
    """Return an open file that can do more than name a place.  Takes no reference.

    Args:
        fd: unsigned, as a system call's ``unsigned int``.

    Raises:
        SyscallError: EBADF: it is not open, or with O_PATH.
    """
    f = fget_raw(current, fd)
    if f.k.u32[(f.pa + _F_MODE) >> 2] & FMODE_PATH:
        raise SyscallError(Errno.EBADF)
    return f


def fdget(current: task_struct, fd: int) -> file:
    """Do as ``fget`` for a call that may have slept: then it goes on with the same file.

    Raises:
        SyscallError: EBADF.
    """
    k = current.k
    filp = k.u64[(current.pa + _RESTART_FILP) >> 3]
    return file(k, filp & PHYSICAL_MASK) if filp else fget(current, fd)


def sleep_on_file(current: task_struct, f: file, queue: wait_queue_head) -> NoReturn:
    """Sleep in a read or write of ``f`` until ``queue`` is woken, then be called again.

    The file, and so the queue, lives until the call ends, even if another task that shares the
    descriptors closes this one or uses it for something else.

    Raises:
        Sleep, SyscallError: as ``sleep_on``.
    """
    try:
        sleep_on(current, queue)
    except Sleep:
        hold_restart_file(current, f)
        raise


def hold_restart_file(current: task_struct, f: file) -> None:
    """Keep the file of a call that goes to sleep, for when it is made again."""
    block = current.restart_block
    if not block.filp:
        block.filp = get_file(f).va


def put_restart_file(current: task_struct) -> None:
    """Drop the file of a call that has slept and is over now."""
    u64, place = current.k.u64, (current.pa + _RESTART_FILP) >> 3
    filp = u64[place]
    if filp:
        u64[place] = 0
        fput_pa(current.k, filp & PHYSICAL_MASK)


# ---- giving and taking descriptors


def get_unused_fd_flags(current: task_struct, flags: int) -> int:
    """Take the lowest free descriptor.

    Args:
        flags: O_CLOEXEC or 0.

    Raises:
        SyscallError: EMFILE: all below RLIMIT_NOFILE are taken.  ENOMEM.
    """
    return _alloc_fd(files_of(current), 0, task_rlimit(current, RLIMIT_NOFILE), flags)


def _alloc_fd(files: files_struct, start: int, end: int, flags: int) -> int:
    """Take the lowest free descriptor from ``start`` to below ``end``."""
    k = files.k
    table = files.fdt
    fd = find_next_zero_bit(
        k, table.open_fds & PHYSICAL_MASK, table.max_fds, max(start, files.next_fd)
    )
    fd = max(fd, start)
    if fd >= end:
        raise SyscallError(Errno.EMFILE)
    _expand_files(files, fd)
    table = files.fdt
    if start <= files.next_fd:
        files.next_fd = fd + 1
    set_bit(k, fd, table.open_fds & PHYSICAL_MASK)
    _set_close_on_exec(table, fd, bool(flags & O_CLOEXEC))
    return fd


def _set_close_on_exec(table: fdtable, fd: int, on: bool) -> None:
    (set_bit if on else clear_bit)(table.k, fd, table.close_on_exec & PHYSICAL_MASK)


def set_close_on_exec(current: task_struct, fd: int, on: bool) -> None:
    """Set or clear FD_CLOEXEC of an open descriptor."""
    _set_close_on_exec(files_of(current).fdt, fd, on)


def put_unused_fd(files: files_struct, fd: int) -> None:
    """Give a descriptor back that was not installed."""
    clear_bit(files.k, fd, files.fdt.open_fds & PHYSICAL_MASK)
    if fd < files.next_fd:
        files.next_fd = fd


def fd_install(files: files_struct, fd: int, f: file) -> None:
    """Make a descriptor that was taken refer to a file; the caller's reference goes with it."""
    slot = ((files.fdt.fd & PHYSICAL_MASK) >> 3) + fd
    if files.k.u64[slot]:
        BUG(f"{files!r}: descriptor {fd} is {files.k.u64[slot]:#x} already")
    files.k.u64[slot] = f.va


def _take_descriptor(files: files_struct, fd: int) -> file | None:
    """Free a descriptor and return its file, with the reference; None: it is not open."""
    table = files.fdt
    if fd >= table.max_fds:
        return None
    f = _fd_at(table, fd)
    if f is not None:
        files.k.u64[((table.fd & PHYSICAL_MASK) >> 3) + fd] = 0
        put_unused_fd(files, fd)
    return f


def filp_close(f: file) -> None:
    """Close a descriptor's file and drop the descriptor's reference."""
    filp_close_pa(f.k, f.pa)


def filp_close_pa(k: Kernel, f: int) -> None:
    """Do as :func:`filp_close` with the file at a physical address."""
    fops = file_operations(k.u64[(f + _F_OP) >> 3])
    if "flush" in fops.provides:
        fops.flush(file(k, f))
    fput_pa(k, f)


def close_fd(current: task_struct, fd: int) -> None:
    """Close a descriptor.

    Raises:
        SyscallError: EBADF.
    """
    f = _take_descriptor(files_of(current), fd)
    if f is None:
        raise SyscallError(Errno.EBADF)
    filp_close(f)


def _do_dup2(files: files_struct, f: file, fd: int, flags: int) -> int:
    """Make ``fd`` refer to ``f``, closing what it was.  The table is large enough."""
    k, table = files.k, files.fdt
    slot = ((table.fd & PHYSICAL_MASK) >> 3) + fd
    old = _fd_at(table, fd)
    if old is None and test_bit(k, fd, table.open_fds & PHYSICAL_MASK):
        raise SyscallError(Errno.EBUSY)  # another thread is about to install it
    k.u64[slot] = get_file(f).va
    set_bit(k, fd, table.open_fds & PHYSICAL_MASK)
    _set_close_on_exec(table, fd, bool(flags & O_CLOEXEC))
    if old is not None:
        filp_close(old)
    return fd


def _dup3(current: task_struct, oldfd: int, newfd: int, flags: int) -> int:
    if newfd >= task_rlimit(current, RLIMIT_NOFILE):
        raise SyscallError(Errno.EBADF)
    f = fget_raw(current, oldfd)
    files = files_of(current)
    try:
        _expand_files(files, newfd)
    except SyscallError as error:
        if error.errno is Errno.EMFILE:
            raise SyscallError(Errno.EBADF) from None
        raise
    return _do_dup2(files, f, newfd, flags)


def _dupfd(current: task_struct, f: file, start: int, flags: int) -> int:
    limit = task_rlimit(current, RLIMIT_NOFILE)
    if start >= limit:
        raise SyscallError(Errno.EINVAL)
    files = files_of(current)
    fd = _alloc_fd(files, start, limit, flags)
    fd_install(files, fd, get_file(f))
    return fd


# ---- fcntl

# What fcntl(2) can do with an O_PATH descriptor.
_RAW_COMMANDS: Final = (
    F_CREATED_QUERY, F_DUPFD, F_DUPFD_CLOEXEC, F_DUPFD_QUERY, F_GETFD, F_GETFL, F_SETFD
)


def _setfl(f: file, arg: int, current: task_struct) -> None:
    node = f.f_inode
    if (arg ^ f.f_flags) & O_APPEND and node.i_flags & S_APPEND:
        raise SyscallError(Errno.EPERM)
    if (
        arg & O_NOATIME and not f.f_flags & O_NOATIME
        and not inode_owner_or_capable(node, current)
    ):
        raise SyscallError(Errno.EPERM)
    # A pipe's O_DIRECT is another thing: packets.
    if (
        arg & O_DIRECT and not f.f_mode & FMODE_CAN_ODIRECT and node.i_mode & S_IFMT != S_IFIFO
    ):
        raise SyscallError(Errno.EINVAL)
    f.f_flags = arg & SETFL_MASK | f.f_flags & ~SETFL_MASK


# System calls


@SYSCALL_DEFINE
def sys_close(current: task_struct, fd: UInt) -> int:
    """Close a descriptor.  See close(2)."""
    close_fd(current, fd)
    return 0


@SYSCALL_DEFINE
def sys_close_range(current: task_struct, fd: UInt, max_fd: UInt, flags: UInt) -> int:
    """Close all descriptors from ``fd`` to ``max_fd``, or have exec do so.  See close_range(2)."""
    if flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) or fd > max_fd:
        raise SyscallError(Errno.EINVAL)
    if flags & CLOSE_RANGE_UNSHARE:
        unshare_files(current)
    files = files_of(current)
    for each in _open_descriptors(files.fdt):
        if not fd <= each <= max_fd:
            continue
        if flags & CLOSE_RANGE_CLOEXEC:
            _set_close_on_exec(files.fdt, each, True)
        elif (f := _take_descriptor(files, each)) is not None:
            filp_close(f)
    return 0


@SYSCALL_DEFINE
def sys_dup(current: task_struct, fildes: UInt) -> int:
    """Make the lowest free descriptor refer to an open file.  See dup(2)."""
    f = fget_raw(current, fildes)
    fd = get_unused_fd_flags(current, 0)
    fd_install(files_of(current), fd, get_file(f))
    return fd


@SYSCALL_DEFINE
def sys_dup2(current: task_struct, oldfd: UInt, newfd: UInt) -> int:
    """Make ``newfd`` refer to ``oldfd``'s file.  See dup2(2)."""
    if oldfd == newfd:
        fget_raw(current, oldfd)
        return oldfd
    return _dup3(current, oldfd, newfd, 0)


@SYSCALL_DEFINE
def sys_dup3(current: task_struct, oldfd: UInt, newfd: UInt, flags: Int) -> int:
    """Make ``newfd`` refer to ``oldfd``'s file, with O_CLOEXEC if asked for.  See dup3(2)."""
    if flags & ~O_CLOEXEC or oldfd == newfd:
        raise SyscallError(Errno.EINVAL)
    return _dup3(current, oldfd, newfd, flags)


@SYSCALL_DEFINE
def sys_fcntl(current: task_struct, fd: UInt, cmd: UInt, arg: ULong) -> int:
    """Do this and that with a descriptor.  See fcntl(2).

    Limits: F_DUPFD, F_DUPFD_CLOEXEC, F_DUPFD_QUERY, F_CREATED_QUERY, F_GETFD, F_SETFD, F_GETFL,
    F_SETFL, F_GETPIPE_SZ and F_SETPIPE_SZ; all others, record locks among them, are EINVAL.
    """
    f = fget_raw(current, fd)
    if f.f_mode & FMODE_PATH and cmd not in _RAW_COMMANDS:
        raise SyscallError(Errno.EBADF)
    if cmd == F_DUPFD:
        return _dupfd(current, f, arg & 0xFFFF_FFFF, 0)
    if cmd == F_DUPFD_CLOEXEC:
        return _dupfd(current, f, arg & 0xFFFF_FFFF, O_CLOEXEC)
    if cmd == F_GETFD:
        table = files_of(current).fdt
        on = test_bit(current.k, fd, table.close_on_exec & PHYSICAL_MASK)
        return FD_CLOEXEC if on else 0
    if cmd == F_SETFD:
        set_close_on_exec(current, fd, bool(arg & FD_CLOEXEC))
        return 0
    if cmd == F_GETFL:
        return f.f_flags
    if cmd == F_SETFL:
        _setfl(f, arg & 0xFFFF_FFFF, current)
        return 0
    if cmd in (F_GETPIPE_SZ, F_SETPIPE_SZ):
        return file_operations(f.f_op).pipe_fcntl(f, cmd, arg)
    if cmd == F_DUPFD_QUERY:
        return int(fget_raw(current, arg & 0xFFFF_FFFF) == f)
    if cmd == F_CREATED_QUERY:
        return int(bool(f.f_mode & FMODE_CREATED))
    raise SyscallError(Errno.EINVAL)
