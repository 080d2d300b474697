"""A root file system, one task and its user memory on plain RAM: no CPU, no boot.

System calls go through the adapters that the dispatcher uses: arguments are written to a
``pt_regs`` in RAM.  User memory is a window of real page-table entries with a hole behind it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vfs_host import Out

from emulator.arch.paging import PAGE_SIZE
from emulator.memory import Ram
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs import vfs
from guest_kernel.fs.dcache import d_backing_inode
from guest_kernel.fs.file import alloc_files_struct, files_of, put_files_struct
from guest_kernel.fs.fs_struct import alloc_fs_struct
from guest_kernel.fs.namei import done_path_create, filename_create, vfs_symlink
from guest_kernel.fs.namespace import root_place
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, PAGE_OFFSET, START_KERNEL_MAP, Struct
from guest_kernel.layout.fs import fs_data
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    RLIM_INFINITY,
    RLIM_NLIMITS,
    RLIMIT_NOFILE,
    pcpu_hot,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail
from guest_kernel.mm import fault
from guest_kernel.mm.page_alloc import get_zeroed_page, mem_init, nr_free_pages
from guest_kernel.mm.slab import (
    for_each_slab_cache,
    kmem_cache_init,
    kmem_cache_usage,
    kzalloc,
    shrink_slabs,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.signal.numbers import SEGV_MAPERR
from guest_kernel.syscall_table import find_table, parse
from guest_kernel.syscalls import ARGUMENT_REGISTERS, DEFINITIONS

_ROWS = parse(Path(find_table()).read_text(encoding="ascii"))
NUMBERS = {row.name: row.number for row in _ROWS}
ENTRIES = {row.name: row.entry for row in _ROWS if row.entry}

RAM_SIZE = 32 << 20
IMAGE_END = KERNEL_LOAD + 0x2_0000
GLOBALS: tuple[type[Struct], ...] = (mm_data, vm_data, fs_data, sched_data, pcpu_hot)
REGS = KERNEL_LOAD  # where the fake pt_regs lies

USER = 0x40_0000  # first byte of user memory
USER_PAGES = 64
USER_END = USER + USER_PAGES * PAGE_SIZE  # nothing is mapped from here on
_PRESENT = 1 | 2 | 4 | 0x20  # P, RW, US, A

AT_FDCWD = -100
EPOCH = 1_700_000_000


class FakeMachine:
    """What the kernel needs of a machine here: a clock that ticks with every reading."""

    def __init__(self) -> None:
        self.now = 1000

    @property
    def clock(self) -> int:
        self.now += 1000
        return self.now


def attach(ram: Ram, machine: Any) -> Kernel:
    """Return a new kernel object for what is in ``ram``."""
    symbols, va = {}, START_KERNEL_MAP + KERNEL_LOAD + 0x1000
    for kind in GLOBALS:
        va = -(-va // 64) * 64
        symbols[kind.__name__] = va
        va += kind.size
    assert va - START_KERNEL_MAP <= IMAGE_END
    return Kernel(ram, symbols, IMAGE_END, machine)


def segfault(task: task_struct, va: int, error_code: int) -> None:
    """Refuse every fault: all user memory is mapped from the start."""
    raise fault.SegmentationFault(va, SEGV_MAPERR)


class World:
    """A kernel with a root file system and a current task."""

    def __init__(self, ram_size: int = RAM_SIZE) -> None:
        self.machine = FakeMachine()
        self.ram = Ram(ram_size)
        self.k = attach(self.ram, self.machine)
        mem_init(self.k, ram_size, IMAGE_END, [(0, IMAGE_END)])
        kmem_cache_init(self.k)
        self.k.data(sched_data).xtime_base = EPOCH * 10**9
        vfs.vfs_caches_init(self.k)
        INIT_LIST_HEAD(self.k.data(sched_data).init_task.tasks)
        self.task = self._make_task()
        hot = self.k.data(pcpu_hot)
        hot.current_task = self.task
        hot.regs = REGS + START_KERNEL_MAP
        self.brk = USER
        self._saved_handler = fault._handle_mm_fault
        fault._handle_mm_fault = segfault

    def close(self) -> None:
        """Give the fault handler back."""
        fault._handle_mm_fault = self._saved_handler

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_task(self) -> task_struct:
        k = self.k
        task = kzalloc(k, task_struct)
        task.pid = task.tgid = 1
        task.comm = b"test"
        signal = kzalloc(k, signal_struct)
        for limit in signal.rlim:
            limit.rlim_cur = limit.rlim_max = RLIM_INFINITY
        assert len(signal.rlim) == RLIM_NLIMITS
        signal.rlim[RLIMIT_NOFILE].rlim_cur = 1024
        signal.rlim[RLIMIT_NOFILE].rlim_max = 4096
        task.signal = signal
        task.files = alloc_files_struct(k)
        task.fs = alloc_fs_struct(k, root_place(k))
        list_add_tail(task.tasks, k.data(sched_data).init_task.tasks)
        mm = kzalloc(k, mm_struct)
        mm.pgd = self._page_table() + PAGE_OFFSET
        task.mm = mm
        return task

    def _page_table(self) -> int:
        k = self.k
        pml4, pdpt, pd, pt = (get_zeroed_page(k) for _ in range(4))
        k.u64[(pml4 >> 3) + (USER >> 39)] = pdpt | _PRESENT
        k.u64[(pdpt >> 3) + (USER >> 30 & 511)] = pd | _PRESENT
        k.u64[(pd >> 3) + (USER >> 21 & 511)] = pt | _PRESENT
        for page in range(USER_PAGES):
            k.u64[(pt >> 3) + (USER >> 12 & 511) + page] = get_zeroed_page(k) | _PRESENT
        return pml4

    def forget(self) -> None:
        """Throw every Python object of the kernel away and make new ones from RAM."""
        task = self.task.pa
        self.k = attach(self.ram, self.machine)
        self.task = task_struct(self.k, task)

    # ---- user memory

    def alloc(self, size: int) -> int:
        """Return the address of fresh user memory; it wraps around."""
        if self.brk + size > USER_END:
            self.brk = USER
        va = self.brk
        self.brk += -(-size // 16) * 16
        return va

    def put(self, data: bytes) -> int:
        """Store bytes in user memory and return their address."""
        va = self.alloc(len(data))
        self.write(va, data)
        return va

    def string(self, text: str | bytes) -> int:
        """Store a NUL-terminated string."""
        return self.put((text.encode() if isinstance(text, str) else text) + b"\0")

    def read(self, va: int, size: int) -> bytes:
        """Return bytes of user memory."""
        return copy_from_user(self.k, va, size)

    def write(self, va: int, data: bytes) -> None:
        """Store bytes in user memory."""
        copy_to_user(self.k, va, data)

    # ---- system calls

    def call(self, name: str, *arguments: int | str | bytes) -> int:
        """Make a system call: strings become user addresses; return what RAX would be."""
        registers = pt_regs(self.k, REGS)
        for register, value in zip(ARGUMENT_REGISTERS, arguments, strict=False):
            number = value if isinstance(value, int) else self.string(value)
            setattr(registers, register, number & (1 << 64) - 1)
        try:
            return DEFINITIONS[f"sys_{name}"].adapter(self.task, REGS >> 3)
        except SyscallError as error:
            return -error.errno

    def invoke(self, name: str, *arguments: int | bytes | Out) -> tuple[int, list[bytes]]:
        """Make a call as ``vfs_host.Host.call`` does."""
        self.brk = USER
        outs, raw = [], []
        for argument in arguments:
            if isinstance(argument, Out):
                outs.append((self.put(b"\xaa" * argument.size), argument.size))
                raw.append(outs[-1][0])
            elif isinstance(argument, bytes):
                raw.append(self.string(argument))
            else:
                raw.append(argument)
        result = self.call(ENTRIES.get(name, f"sys_{name}").removeprefix("sys_"), *raw)
        return result, [self.read(*out) for out in outs]

    def open(self, path: str | bytes, flags: int = 0, mode: int = 0o644) -> int:
        return self.call("openat", AT_FDCWD, path, flags, mode)

    def read_fd(self, fd: int, size: int) -> bytes | int:
        """read(2): the bytes, or -errno."""
        va = self.alloc(size)
        n = self.call("read", fd, va, size)
        return n if n < 0 else self.read(va, n)

    def pread_fd(self, fd: int, size: int, pos: int) -> bytes | int:
        va = self.alloc(size)
        n = self.call("pread64", fd, va, size, pos)
        return n if n < 0 else self.read(va, n)

    def write_fd(self, fd: int, data: bytes) -> int:
        return self.call("write", fd, self.put(data), len(data))

    def create(self, path: str, data: bytes = b"", mode: int = 0o644) -> None:
        """Make a file with contents."""
        fd = self.open(path, 0o1101, mode)
        assert fd >= 0, (path, fd)
        for start in range(0, len(data), 65536):
            piece = data[start : start + 65536]
            assert self.write_fd(fd, piece) == len(piece)
        assert self.call("close", fd) == 0

    def content(self, path: str) -> bytes:
        fd = self.open(path)
        assert fd >= 0, (path, fd)
        pieces = []
        while piece := self.read_fd(fd, 65536):
            assert isinstance(piece, bytes)
            pieces.append(piece)
        self.call("close", fd)
        return b"".join(pieces)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link (there is no symlink(2) yet)."""
        place, new = filename_create(self.task, AT_FDCWD, path.encode())
        try:
            vfs_symlink(d_backing_inode(place.dentry), new, target.encode(), self.task)
        finally:
            done_path_create(place, new)

    def stat(self, path: str | bytes, call: str = "newstat") -> SimpleNamespace | int:
        """stat(2) or lstat(2): the fields, or -errno."""
        return self._stat(call, path)

    def fstat(self, fd: int) -> SimpleNamespace | int:
        return self._stat("newfstat", fd)

    def _stat(self, call: str, what: int | str | bytes) -> SimpleNamespace | int:
        va = self.alloc(144)
        n = self.call(call, what, va)
        return n if n < 0 else unpack_stat(self.read(va, 144))

    def listdir(self, path: str, size: int = 4096) -> list[str]:
        """The names in a directory, in order of getdents64(2)."""
        fd = self.open(path, 0o200000)
        assert fd >= 0, (path, fd)
        names = []
        while entries := self.getdents(fd, size):
            assert isinstance(entries, list)
            names += [entry.name for entry in entries]
        self.call("close", fd)
        return names

    def getdents(self, fd: int, size: int) -> list[SimpleNamespace] | int:
        va = self.alloc(size)
        n = self.call("getdents64", fd, va, size)
        if n < 0:
            return n
        data, entries, at = self.read(va, n), [], 0
        while at < n:
            ino, off, reclen, kind = struct.unpack_from("<QqHB", data, at)
            name = data[at + 19 : at + reclen].partition(b"\0")[0].decode()
            entries.append(SimpleNamespace(ino=ino, off=off, type=kind, name=name))
            at += reclen
        return entries

    # ---- accounts

    def usage(self) -> tuple[int, dict[str, int]]:
        """Free frames, and the objects in use of each slab cache but that of the caches."""
        objects = {
            cache.name.decode(): kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(self.k)
        }
        del objects["kmem_cache"]
        shrink_slabs(self.k)
        return nr_free_pages(self.k), {name: n for name, n in objects.items() if n}

    def warm_up(self) -> None:
        """Have every slab cache made that files need, so that ``usage`` can be compared."""
        self.create("/" + "w" * 60, bytes(2 * PAGE_SIZE))
        self.call("mkdir", "/warm", 0o700)
        for fd in range(70):
            self.call("dup2", self.open("/warm"), fd + 80)
        for fd in range(160):
            self.call("close", fd)
        self.call("rmdir", "/warm")
        self.call("unlink", "/" + "w" * 60)
        files = files_of(self.task)
        self.task.files = alloc_files_struct(self.k)
        put_files_struct(files)

    def remove_all(self) -> None:
        """Close all descriptors and remove all files."""
        for fd in range(128):
            self.call("close", fd)
        self.call("chdir", "/")
        self._remove_below("")

    def _remove_below(self, path: str) -> None:
        for name in self.listdir(path or "/"):
            if name in (".", ".."):
                continue
            if self.call("unlink", f"{path}/{name}") == -Errno.EISDIR:
                self._remove_below(f"{path}/{name}")
                assert self.call("rmdir", f"{path}/{name}") == 0


def unpack_stat(data: bytes) -> SimpleNamespace:
    """Return the fields of a ``struct stat`` as the ABI has them, declared here once more."""
    names = (
        "dev", "ino", "nlink", "mode", "uid", "gid", "_", "rdev", "size", "blksize", "blocks",
        "atime", "atime_ns", "mtime", "mtime_ns", "ctime", "ctime_ns",
    )
    values = struct.unpack("<QQQIIIIQqqqqqqqqq24x", data)
    return SimpleNamespace(**dict(zip(names, values, strict=True)))
