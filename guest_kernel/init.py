"""Starting the kernel, and pid 1.

``start_kernel`` builds everything in the order in which one thing needs the other; the swapper,
which called it, becomes the idle task.  Init is a kernel thread: it runs the programs that the
front end asks for, one at a time, reaps whatever dies, and reports each program's status to the
debug-exit port.

See: Linux init/main.c start_kernel(), kernel_init().
"""

from __future__ import annotations

import struct
from typing import Final

from emulator import boot
from emulator.arch.paging import PAGE_MASK, PAGE_SIZE
from emulator.devices.debug_exit import DebugExit
from guest_kernel.drivers.console import console_init
from guest_kernel.errors import BUG, SyscallError
from guest_kernel.fs.fcntl import O_RDWR
from guest_kernel.fs.file import alloc_files_struct, exit_files, fd_install, get_unused_fd_flags
from guest_kernel.fs.fs_struct import alloc_fs_struct, exit_fs, set_fs_pwd
from guest_kernel.fs.initramfs import populate_rootfs
from guest_kernel.fs.namei import kern_path
from guest_kernel.fs.namespace import path_put, root_place
from guest_kernel.fs.open import filp_open
from guest_kernel.fs.vfs import mount_proc, vfs_caches_init
from guest_kernel.ipc.sem import sem_init
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.init import RUN_DONE, RUN_IDLE, RUN_REQUESTED, RUN_RUNNING, init_data
from guest_kernel.layout.printk import printk_data
from guest_kernel.layout.sched import (
    PID_MAX_DEFAULT,
    SIGNAL_UNKILLABLE,
    TASK_INTERRUPTIBLE,
    THREAD_SIZE,
    WORK_TO_USER,
    pcpu_hot,
    sched_data,
    task_struct,
)
from guest_kernel.layout.tty import tty_data
from guest_kernel.mm.filemap import fput, get_file
from guest_kernel.mm.mm import mm_init
from guest_kernel.mm.page_alloc import free_reserved_area, mem_init, mem_map_size
from guest_kernel.mm.pgtable import paging_init
from guest_kernel.mm.slab import kfree_pa, kmalloc, kmem_cache_init
from guest_kernel.printk import KERN_ERR, KERN_INFO, printk
from guest_kernel.process import kthread
from guest_kernel.process.exec import kernel_execve
from guest_kernel.process.exit import __WALL, do_group_exit, kernel_wait4
from guest_kernel.process.fork import (
    CLONE_FILES,
    CLONE_FS,
    fill_stack_cache,
    init_idle,
    kernel_thread,
)
from guest_kernel.process.futex import futex_init
from guest_kernel.process.ids import sys_setsid
from guest_kernel.process.kthread import KthreadFn, kthread_init
from guest_kernel.process.pid import find_task_by_vpid, pid_init, pid_max_max, pid_max_min
from guest_kernel.process.sys import UTS_RELEASE
from guest_kernel.process.workqueue import workqueue_init_early
from guest_kernel.sched import options as sched_options
from guest_kernel.sched.core import sched_init, wake_up_process
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time.hrtimer import hrtimers_init
from guest_kernel.time.timekeeping import timekeeping_init
from guest_kernel.traps import IRQ_HANDLERS, RUN_IRQ, init_8259A

LINUX_BANNER: Final = f"Linux version {UTS_RELEASE.decode()} (x86-64 on ringlet)"


def start_kernel(k: Kernel) -> None:
    """Bring the kernel up; the caller is the swapper, on ``init_stack``."""
    parameters = k.data(pcpu_hot).regs & PHYSICAL_MASK
    command_line = _command_line(k, parameters)
    ramdisk = struct.unpack_from("<II", k.u8, parameters + boot.RAMDISK_IMAGE)
    printk(k, KERN_INFO, LINUX_BANNER)
    printk(k, KERN_INFO, f"Command line: {' '.join(command_line)}")
    options = dict(word.partition("=")[::2] for word in command_line)

    k.data(printk_data).panic_on_oops = int("panic_on_oops" in options)
    _boot_cpu_init(k)

    _memory_init(k, ramdisk)
    k.data(init_data).saved_command_line = _kstrdup(k, " ".join(command_line).encode())
    idle = init_idle(k)
    fill_stack_cache(k)
    k.data(pcpu_hot).current_task = idle
    k.data(pcpu_hot).top_of_stack = idle.stack + THREAD_SIZE
    try:
        sched_init(k, idle, sched_options.parse(options.get("sched", "fair"),
                                                options.get("quantum")))
    except ValueError as error:
        BUG(f"Command line: {error}")
    pid_init(k, _pid_max(k, options))
    timekeeping_init(k)
    init_8259A(k)
    hrtimers_init(k)
    workqueue_init_early(k)
    k.data(sched_data).boot_seed = int(options.get("seed", "0"), 0)
    vfs_caches_init(k)
    sem_init(k)
    futex_init(k)
    idle.fs = alloc_fs_struct(k, root_place(k))
    idle.files = alloc_files_struct(k)
    console_init(k, is_tty=options.get("console", "pipe") == "tty",
                 rows=int(options.get("rows", "24")), columns=int(options.get("columns", "80")))
    if ramdisk[1]:
        populate_rootfs(k, *ramdisk)
        free_reserved_area(k, ramdisk[0], ramdisk[0] + ramdisk[1])
    mount_proc(k)

    kthread_init(k)
    data = k.data(sched_data)
    init = kernel_thread(k, KthreadFn.KERNEL_INIT, 0, b"init", CLONE_FS)
    data.init_pid_ns.child_reaper = init
    assert init.signal is not None
    init.signal.flags |= SIGNAL_UNKILLABLE
    data.kthreadd_task = kernel_thread(k, KthreadFn.KTHREADD, 0, b"kthreadd",
                                       CLONE_FS | CLONE_FILES)
    printk(k, KERN_INFO, "Run init: waiting for a program")


def _command_line(k: Kernel, parameters: int) -> list[str]:
    pointer = k.u32[(parameters + boot.CMD_LINE_PTR) >> 2]
    raw = bytes(k.u8[pointer : pointer + boot.COMMAND_LINE_SIZE])
    return raw.partition(b"\0")[0].decode().split()


def _boot_cpu_init(k: Kernel) -> None:
    for state in ("possible", "present", "online"):
        getattr(k.data(sched_data), f"__cpu_{state}_mask").bits[0] = 1


def _kstrdup(k: Kernel, text: bytes) -> int:
    """Return the address of a copy of ``text``, NUL-terminated."""
    pa = kmalloc(k, len(text) + 1)
    k.u8[pa : pa + len(text) + 1] = text + b"\0"
    return pa + PAGE_OFFSET


def _pid_max(k: Kernel, options: dict[str, str]) -> int:
    word = options.get("pid_max")
    if word is None:
        return PID_MAX_DEFAULT
    if not word.isdecimal() or not pid_max_min <= int(word) <= pid_max_max:
        printk(k, KERN_ERR, f"pid_max={word}: not a number from {pid_max_min} to {pid_max_max}")
        return PID_MAX_DEFAULT
    return int(word)


def _memory_init(k: Kernel, ramdisk: tuple[int, int]) -> None:
    """Give RAM to the page allocator, and build the kernel's page tables."""
    image_end = -(-k.image_end // PAGE_SIZE) * PAGE_SIZE
    reserved = [(0, boot.FIRST_FREE), (KERNEL_LOAD, image_end),
                (ramdisk[0] & PAGE_MASK, ramdisk[0] + ramdisk[1])]
    mem_init(k, k.ram.size, image_end, reserved)
    kmem_cache_init(k)

    def physical(symbol: str) -> int:
        return k.symbols[symbol] - START_KERNEL_MAP

    pgd = paging_init(k, text=(physical("_text"), physical("_etext")),
                      rodata=(physical("_etext"), physical("__end_rodata")),
                      data=(physical("__end_rodata"), image_end), ram_size=k.ram.size)
    k.data(pcpu_hot).init_cr3 = pgd
    mm_init(k)
    pages = k.ram.size // PAGE_SIZE
    printk(k, KERN_INFO, f"Memory: {pages * 4}K, of which {mem_map_size(k.ram.size) // 1024}K "
                         "describe it")


# pid 1


def request_run(k: Kernel, blob: bytes) -> None:
    """Ask init to run a program; the machine must be between two host calls.

    Args:
        blob: path, working directory, argc, argv, envp: see :func:`pack_request`.
    """
    data = k.data(init_data)
    if data.state not in (RUN_IDLE, RUN_DONE):
        BUG("a program is running already")
    pa = kmalloc(k, len(blob))
    k.u8[pa : pa + len(blob)] = blob
    data.request, data.request_size, data.state = pa, len(blob), RUN_REQUESTED
    k.machine.pic.set_irq(RUN_IRQ, True)
    k.machine.arm()


def pack_request(path: bytes, cwd: bytes, argv: list[bytes], envp: list[bytes]) -> bytes:
    """Encode what :func:`request_run` takes: strings, NUL-terminated, behind a count."""
    strings = [path, cwd, *argv, *envp]
    return struct.pack("<II", len(argv), len(envp)) + b"".join(s + b"\0" for s in strings)


def _run_interrupt(k: Kernel) -> None:
    k.machine.pic.set_irq(RUN_IRQ, False)
    init = k.data(sched_data).init_pid_ns.child_reaper
    assert init is not None
    wake_up_process(init)


IRQ_HANDLERS[RUN_IRQ] = _run_interrupt


def kernel_init(current: task_struct) -> None:
    """Init: start what is asked for, reap what dies, report."""
    k: Kernel = current.k
    data = k.data(init_data)
    if data.state == RUN_REQUESTED:
        child = kernel_thread(k, KthreadFn.RUN_PROGRAM, 0, b"init")
        data.state, data.pid = RUN_RUNNING, child.pid
    try:
        while True:
            waited = kernel_wait4(current, -1, __WALL)
            if waited.nr == data.pid and data.state == RUN_RUNNING:
                data.state, data.status = RUN_DONE, waited.status
                k.machine.write(DebugExit.PORTS.start, 4, waited.status)
    except SyscallError:  # ECHILD: nobody is left to wait for
        schedule_timeout(current, state=TASK_INTERRUPTIBLE)


def run_program(current: task_struct) -> None:
    """Become the program that was asked for."""
    k: Kernel = current.k
    data = k.data(init_data)
    blob = bytes(k.u8[data.request : data.request + data.request_size])
    kfree_pa(k, data.request)
    argc, envc = struct.unpack_from("<II", blob)
    strings = blob[8:].split(b"\0")
    path, cwd = strings[:2]
    argv, envp = strings[2 : 2 + argc], strings[2 + argc : 2 + argc + envc]
    data.exec_errno = 0
    try:
        _open_standard_files(current, cwd)
        kernel_execve(current, path, argv, envp)
    except SyscallError as error:
        data.exec_errno = error.errno
        printk(k, KERN_ERR, f"init: {path.decode('utf-8', 'replace')}: {error.errno.name}")
        do_group_exit(current, 127 << 8)
    k.ask(WORK_TO_USER)


def _open_standard_files(current: task_struct, cwd: bytes) -> None:
    """Give the program its own fs and files: descriptors 0 to 2 are the console.

    If that is a terminal, the program leads a session of its own, whose controlling terminal it is.
    """
    k: Kernel = current.k
    exit_fs(current)
    exit_files(current)
    current.fs = alloc_fs_struct(k, root_place(k))
    current.files = alloc_files_struct(k)
    place = kern_path(current, cwd)
    set_fs_pwd(current.fs, place)
    path_put(place)
    name = b"/dev/console"
    if k.data(tty_data).is_tty:
        sys_setsid(current)  # and the terminal, opened by a session's leader, is the session's
        name = b"/dev/ttyS0"
    console = filp_open(current, name, O_RDWR)
    for fd in range(3):
        fd_install(current.files, get_unused_fd_flags(current, 0), get_file(console))
        assert fd < 3
    fput(console)


def program_task(k: Kernel) -> task_struct | None:
    """Return the program's task while it runs."""
    data = k.data(init_data)
    return find_task_by_vpid(k, data.pid) if data.state == RUN_RUNNING else None


kthread.FUNCTIONS[KthreadFn.KERNEL_INIT] = kernel_init
kthread.FUNCTIONS[KthreadFn.RUN_PROGRAM] = run_program
