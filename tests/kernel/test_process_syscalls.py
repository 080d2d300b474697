"""Calls about a process, its signals and the time, on plain RAM: what tests/syscalls cannot show.

There is one program, ``world.task``, with an address space of its own; other tasks are kernel
threads.  Calls go through the adapters that the dispatcher uses, and ``World.call`` does what the
dispatcher does about errors and about a call that sleeps.
"""

from __future__ import annotations

import signal as host_signal
import struct
from collections.abc import Callable
from typing import Any

import pytest
from address_space import DATA, PAGE, RODATA, TEXT
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.memory import Ram
from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK, START_KERNEL_MAP, Struct
from guest_kernel.layout.mm_types import SUID_DUMP_DISABLE, SUID_DUMP_USER, TASK_SIZE_MAX, vm_data
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    CPUCLOCK_PROF,
    CPUCLOCK_SCHED,
    CPUCLOCK_VIRT,
    RLIM_INFINITY,
    RLIMIT_CORE,
    RLIMIT_NOFILE,
    TASK_INTERRUPTIBLE,
    THREAD_SIZE,
    TIF_SIGPENDING,
    WORK_LOAD_BASES,
    WORK_SWITCH,
    pcpu_hot,
    sched_data,
    task_struct,
)
from guest_kernel.mm.mm import mm_alloc, mm_init, set_dumpable
from guest_kernel.mm.mmap import do_mmap, do_munmap
from guest_kernel.mm.page_alloc import alloc_pages, mem_init
from guest_kernel.mm.pgtable import paging_init
from guest_kernel.mm.slab import kmem_cache_init
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process import arch_prctl, membarrier, prctl, random, resource, rseq, sys
from guest_kernel.process.fork import dup_task_struct, init_idle, kernel_thread
from guest_kernel.process.kthread import KthreadFn
from guest_kernel.process.pid import (
    pid_init,
)
from guest_kernel.sched.core import SCHED_CLASSES, runqueue, sched_init, task_state, wake_up_process
from guest_kernel.sched.rq import DEQUEUE_SLEEP
from guest_kernel.sched.wait import NEVER, finish_wait
from guest_kernel.signal import numbers, sigaction
from guest_kernel.syscalls import ARGUMENT_REGISTERS, DEFINITIONS
from guest_kernel.time import clocks, nanosleep
from guest_kernel.time.hrtimer import TICK_NSEC, base_offset, hrtimer_interrupt

RAM_SIZE = 32 << 20
GLOBALS: tuple[type[Struct], ...] = (mm_data, vm_data, pcpu_hot, sched_data)
SYMBOLS_END = DATA[0] + 0x4000
EPOCH = 1_700_000_000
SECOND = 10**9
M64 = (1 << 64) - 1
NO_SUCH_PID = 0x7FFF_FFF0


class FakeMachine:
    """What the kernel needs of a machine here: a clock, and a timer that nobody looks at."""

    def __init__(self) -> None:
        self.clock = 5 * SECOND + 123

    def write_mmio(self, pa: int, size: int, value: int) -> None:
        """Accept what the HPET would be told."""


class RamKernel(Kernel):
    """A kernel without a CPU, so without anything to flush."""

    def flush_code(self, pa: int) -> None:
        pass


def attach(ram: Ram, machine: Any) -> RamKernel:
    """Return a new kernel object for what is in ``ram``."""
    symbols, va = {}, START_KERNEL_MAP + DATA[0]
    for kind in GLOBALS:
        symbols[kind.__name__] = va
        va += -(-kind.size // 64) * 64
    assert va - START_KERNEL_MAP <= SYMBOLS_END
    symbols["init_stack"] = START_KERNEL_MAP + SYMBOLS_END
    symbols["ret_from_fork"] = START_KERNEL_MAP + TEXT[0]
    assert DATA[1] >= SYMBOLS_END + THREAD_SIZE
    return RamKernel(ram, symbols, DATA[1], machine)


class World:
    """A booted kernel and one program, with two pages of memory and a hole behind them."""

    def __init__(self) -> None:
        self.machine = FakeMachine()
        self.k = k = attach(Ram(RAM_SIZE), self.machine)
        mem_init(k, RAM_SIZE, DATA[1], [(0, DATA[1])])
        kmem_cache_init(k)
        paging_init(k, text=TEXT, rodata=RODATA, data=DATA, ram_size=RAM_SIZE)
        mm_init(k)
        idle = init_idle(k)
        k.data(pcpu_hot).current_task = idle
        sched_init(k, idle)
        pid_init(k)
        k.data(sched_data).xtime_base = EPOCH * SECOND
        k.data(sched_data).boot_seed = 7
        self.init = kernel_thread(k, KthreadFn.KERNEL_INIT, 0, b"init").pa
        self.program = self.spawn(task_struct(k, self.init)).pa
        task = self.task
        task.comm = b"program"
        task.mm = task.active_mm = mm_alloc(k)
        task.timer_slack_ns = 50_000
        self.run(task)
        assert task.mm is not None
        self.memory, _ = do_mmap(task.mm, None, 0, 3 * PAGE, 3, 0x22, 0)
        do_munmap(task.mm, self.memory + 2 * PAGE, PAGE)

    @property
    def task(self) -> task_struct:
        return task_struct(self.k, self.program)

    def spawn(self, parent: task_struct) -> task_struct:
        """Make another task."""
        pcpu = self.k.data(pcpu_hot)
        running, pcpu.current_task = pcpu.current_task, parent
        task = kernel_thread(self.k, KthreadFn.KTHREADD, 0, b"other")
        pcpu.current_task = running
        return task

    def run(self, task: task_struct) -> None:
        """Let ``task`` be the running one, and the one that ran be as if it still waited."""
        queue = runqueue(self.k)
        if queue.curr != task:
            if queue.curr != queue.idle and queue.curr is not None and queue.curr.on_rq:
                SCHED_CLASSES[queue.curr.sched_class].put_prev_task(self.k, queue.curr.pa)
            SCHED_CLASSES[task.sched_class].set_next_task(self.k, task.pa)
        task.se.exec_start = self.machine.clock
        self.k.data(pcpu_hot).current_task = queue.curr = task
        self.k.data(pcpu_hot).preempt_count = 0

    def forget(self) -> None:
        """Throw the kernel object away; the next one has RAM alone to start from."""
        self.k = attach(self.k.ram, self.machine)

    def regs(self) -> pt_regs:
        """Return the program's registers of ring 3."""
        return pt_regs(self.k, (self.task.stack & PHYSICAL_MASK) + THREAD_SIZE - pt_regs.size)

    def call(self, name: str, *arguments: int) -> int:
        """Make a system call, once, and return what RAX would be.

        Raises:
            Sleep: the program sleeps and will make the call again.
        """
        task, regs = self.task, self.regs()
        for register, value in zip(ARGUMENT_REGISTERS, arguments, strict=False):
            setattr(regs, register, value & M64)
        slept = task.restart_block.fn
        if slept:
            self.run(task)
            finish_wait(task)
        try:
            result = DEFINITIONS[f"sys_{name}"].adapter(task, regs.pa >> 3)
        except SyscallError as error:
            result = -error.errno
        except Sleep:
            task.restart_block.fn = 1
            raise
        task.restart_block.fn = 0
        return result

    def sleeps(self, name: str, *arguments: int) -> int:
        """Make a call that sleeps; return when the sleep is to end, NEVER without a deadline."""
        with pytest.raises(Sleep):
            self.call(name, *arguments)
        task = self.task
        assert task_state(task) == TASK_INTERRUPTIBLE
        queue = runqueue(self.k)
        SCHED_CLASSES[task.sched_class].dequeue_task(self.k, task.pa, DEQUEUE_SLEEP)
        task.on_rq = 0
        queue.nr_running -= 1
        queue.curr = queue.idle
        return task.sleep_timer.expires if task.sleep_timer.is_queued else NEVER

    def put(self, layout: str, *values: int | bytes, at: int = 0) -> int:
        """Store a structure in the program's memory and return its address."""
        copy_to_user(self.k, self.memory + at, struct.pack(layout, *values))
        return self.memory + at

    def get(self, layout: str, at: int = 0) -> tuple[Any, ...]:
        """Return a structure from the program's memory."""
        data = copy_from_user(self.k, self.memory + at, struct.calcsize(layout))
        return struct.unpack(layout, data)


@pytest.fixture
def world() -> World:
    return World()


# ---- identity


def test_task_finds_the_head_of_its_group_and_session(world: World) -> None:
    """Does each member of a group find whose group it is, born into it or moved there?"""
    leader = world.task
    assert world.call("setsid") == leader.pid
    members = [world.spawn(leader) for _ in range(5)]
    for member in members:
        assert world.call("getpgid", member.pid) == leader.pid
        assert world.call("setpgid", member.pid, 0) == 0
        assert world.call("getpgid", member.pid) == member.pid
        assert world.call("setpgid", member.pid, leader.pid) == 0
    for member in members:
        assert world.call("getpgid", member.pid) == leader.pid
        assert world.call("getsid", member.pid) == leader.pid
    assert world.call("getpgrp") == world.call("getpgid", 0) == leader.pid
    assert world.call("getsid", NO_SUCH_PID) == -Errno.ESRCH
    assert world.call("getppid") == task_struct(world.k, world.init).pid == 1


def test_ids_are_the_task_s_own_fields(world: World) -> None:
    """Does each call answer with its own ID, unsigned?"""
    task = world.task
    task.uid, task.euid, task.gid, task.egid = 1, 2, 3, 0xFFFF_FFFE
    names = ("getuid", "geteuid", "getgid", "getegid")
    assert [world.call(name) for name in names] == [1, 2, 3, 0xFFFF_FFFE]


# ---- names and limits


def test_uname_fills_the_whole_structure(world: World) -> None:
    """Are all six names there, each with zeros to its end?"""
    world.put("400s", b"#" * 400)
    assert world.call("newuname", world.memory) == 0
    *names, rest = world.get("65s65s65s65s65s65s10s")
    assert [name.rstrip(b"\0") for name in names] == [
        b"Linux", b"ringlet", sys.UTS_RELEASE, sys.UTS_VERSION, b"x86_64", b"(none)"]
    assert rest == b"#" * 10


def test_only_root_raises_a_hard_limit(world: World) -> None:
    """May a plain process lower its limits, and only root raise them, up to what there is?"""
    task = world.task
    world.put("QQ", 10, 20)
    assert world.call("setrlimit", RLIMIT_CORE, world.memory) == 0
    task.euid = 1000
    world.put("QQ", 10, 21)
    assert world.call("setrlimit", RLIMIT_CORE, world.memory) == -Errno.EPERM
    world.put("QQ", 20, 20)
    assert world.call("setrlimit", RLIMIT_CORE, world.memory) == 0
    task.euid = 0
    world.put("QQ", 10, RLIM_INFINITY)
    assert world.call("setrlimit", RLIMIT_CORE, world.memory) == 0
    world.put("QQ", 10, (1 << 20) + 1)
    assert world.call("setrlimit", RLIMIT_NOFILE, world.memory) == -Errno.EPERM
    world.forget()
    assert world.call("getrlimit", RLIMIT_CORE, world.memory) == 0
    assert world.get("QQ") == (10, RLIM_INFINITY)


def test_limits_of_others_need_the_same_ids(world: World) -> None:
    """Whose limits may a plain process read and set?  Those of tasks that are wholly its own."""
    task, other = world.task, world.spawn(world.task)
    for who in (task, other):
        who.uid = who.euid = who.suid = 1000
        who.gid = who.egid = who.sgid = 100
    world.put("QQ", 1, 2)
    call = ("prlimit64", other.pid, RLIMIT_CORE, world.memory, world.memory + 16)
    assert world.call(*call) == 0
    assert world.get("QQ", 16) == (0, RLIM_INFINITY)
    for field in ("uid", "euid", "suid", "gid", "egid", "sgid"):
        kept = getattr(other, field)
        setattr(other, field, 7)
        assert world.call(*call) == -Errno.EPERM, field
        setattr(other, field, kept)
    other.uid, task.euid = 7, 0
    assert world.call(*call) == 0
    assert world.get("QQ", 16) == (1, 2)


def test_usage_adds_up_threads_and_the_dead(world: World) -> None:
    """Are live threads, exited ones and children counted where they belong?"""
    world.put("144s", bytes(144))
    task, shared = world.task, world.task.signal
    assert shared is not None
    task.se.exec_start = world.machine.clock
    task.utime, task.stime, task.min_flt, task.nvcsw = 3 * SECOND + 5000, 2000, 11, 4
    shared.utime, shared.min_flt, shared.nvcsw = SECOND, 100, 1
    shared.cutime, shared.cmin_flt, shared.cmaxrss = 9 * SECOND, 1000, 25
    world.machine.clock += 7000  # not charged yet

    def usage(who: int) -> tuple[int, ...]:
        """Return user and system time, minor faults and voluntary switches."""
        assert world.call("getrusage", who, world.memory) == 0
        values = world.get("18q")
        return (*values[:4], values[8], values[16])

    assert usage(resource.RUSAGE_SELF) == (4, 12, 0, 2, 111, 5)
    assert world.get("18q")[4] == 4  # KiB: the one page that was touched
    assert usage(resource.RUSAGE_THREAD) == (3, 12, 0, 2, 11, 4)
    assert usage(resource.RUSAGE_CHILDREN) == (9, 0, 0, 0, 1000, 0)
    assert world.get("18q")[4] == 100
    assert world.call("times", world.memory) == world.machine.clock // 10_000_000
    assert world.get("4q") == (400, 0, 900, 0)


def test_sysinfo_counts_frames_and_tasks(world: World) -> None:
    """Do a block of frames and a task that are taken show?"""
    layout = "<q9QH6xQQI4x"
    assert struct.calcsize(layout) == 112
    assert world.call("sysinfo", world.memory) == 0
    before = world.get(layout)
    world.spawn(world.task)
    alloc_pages(world.k, 5)
    assert world.call("sysinfo", world.memory) == 0
    after = world.get(layout)
    assert after[0] == 6  # seconds up, rounded up
    assert after[4] == before[4] == world.k.data(mm_data).totalram_pages * PAGE
    assert before[5] - after[5] >= 32 * PAGE + THREAD_SIZE
    assert after[10] - before[10] == 1
    assert after[-1] == 1


# ---- prctl, addresses that are registered


def test_attributes_outlive_the_kernel_object(world: World) -> None:
    """Is everything that prctl() sets in RAM?"""
    world.put("32s", b"name")
    assert world.call("prctl", prctl.PR_SET_NAME, world.memory) == 0
    for option, value in ((prctl.PR_SET_PDEATHSIG, 9), (prctl.PR_SET_DUMPABLE, 0),
                          (prctl.PR_SET_TIMERSLACK, 77), (prctl.PR_SET_NO_NEW_PRIVS, 1),
                          (prctl.PR_SET_CHILD_SUBREAPER, 5)):
        assert world.call("prctl", option, value, 0, 0, 0) == 0
    assert world.call("set_tid_address", 0x1234) == world.task.pid
    assert world.call("set_robust_list", 0x5678, 24) == 0
    world.forget()
    assert world.task.comm == b"name"
    assert world.call("prctl", prctl.PR_GET_DUMPABLE) == 0
    assert world.call("prctl", prctl.PR_GET_TIMERSLACK) == 77
    assert world.call("prctl", prctl.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
    for option, layout, value in ((prctl.PR_GET_PDEATHSIG, "i", 9),
                                  (prctl.PR_GET_CHILD_SUBREAPER, "i", 1),
                                  (prctl.PR_GET_TID_ADDRESS, "Q", 0x1234)):
        assert world.call("prctl", option, world.memory) == 0
        assert world.get(layout) == (value,)
    assert world.call("get_robust_list", 0, world.memory, world.memory + 8) == 0
    assert world.get("QQ") == (0x5678, 24)


@pytest.mark.parametrize(("arguments", "result"), [
    ((prctl.PR_SET_PDEATHSIG, 65), -Errno.EINVAL),
    ((prctl.PR_SET_PDEATHSIG, -1), -Errno.EINVAL),
    ((prctl.PR_SET_PDEATHSIG, 64), 0),
    ((prctl.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), -Errno.EINVAL),
    ((prctl.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 1), -Errno.EINVAL),
    ((prctl.PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), -Errno.EINVAL),
    ((prctl.PR_GET_PDEATHSIG, 0), -Errno.EFAULT),
    ((prctl.PR_GET_TID_ADDRESS, 0), -Errno.EFAULT),
    ((prctl.PR_GET_TIMING,), 0),
    ((prctl.PR_SET_TIMING, 1), -Errno.EINVAL),
])
def test_prctl_checks_its_arguments(world: World, arguments: tuple[int, ...], result: int) -> None:
    """Is each argument accepted or refused as natively?"""
    assert world.call("prctl", *arguments) == result


def test_timer_slack_of_zero_is_the_default(world: World) -> None:
    """Does 0 bring the 50 microseconds back, and is the largest value only seen as it is?"""
    for value, kept in ((77, 77), (0, 50_000), (-1, M64)):
        assert world.call("prctl", prctl.PR_SET_TIMERSLACK, value) == 0
        assert world.call("prctl", prctl.PR_GET_TIMERSLACK) == kept


def test_subreaper_is_known_to_all_descendants(world: World) -> None:
    """Are grandchildren told too, and strangers not?"""
    child = world.spawn(world.task)
    grandchild, stranger = world.spawn(child), world.spawn(task_struct(world.k, world.init))
    assert world.call("prctl", prctl.PR_SET_CHILD_SUBREAPER, 1) == 0
    told = [t.signal is not None and t.signal.has_child_subreaper
            for t in (child, grandchild, stranger, world.task)]
    assert told == [1, 1, 0, 0]


def test_child_begins_without_what_is_its_parent_s(world: World) -> None:
    """Are a new task's times, sleeps, lists and references its own, and the rest inherited?"""
    own = ("ptrace", "on_cpu", "on_rq", "exit_state", "exit_code", "pdeath_signal", "jobctl",
           "in_execve", "pid_links", "restart_block", "sleep_timer", "vfork_done", "vfork",
           "thread_pid", "sched_info", "utime", "stime", "nvcsw", "nivcsw", "min_flt", "maj_flt",
           "pending", "wait", "set_child_tid", "clear_child_tid", "robust_list", "mm",
           "active_mm", "saved_sigmask", "real_blocked", "restore_sigmask", "worker_private",
           "kthread_create", "sysvsem", "rt", "ostep", "user", "fs", "files", "signal", "sighand")
    own_of_se = ("on_rq", "exec_start", "sum_exec_runtime", "prev_sum_exec_runtime", "vruntime",
                 "vlag", "deadline")
    lists = {"tasks", "children", "sibling", "thread_node"}  # whatever they are, it is on none
    k, task = world.k, world.task
    spans = [(field.offset, field.size) for field in map(task_struct.fields.get, own) if field]
    spans += [(task_struct.offsetof(f"se.{name}"), 8 if name != "on_rq" else 4)
              for name in own_of_se]
    assert len(spans) == len(own) + len(own_of_se)
    for place, size in spans:
        k.u8[task.pa + place : task.pa + place + size] = b"\xff" * size
    child = dup_task_struct(task)
    for place, size in spans:
        assert not any(k.u8[child.pa + place : child.pa + place + size]), place
    for name in task_struct.fields.keys() - {*own, *lists, "stack", "usage", "se"}:
        assert bytes_of(child, name) == bytes_of(task, name), name
    assert child.se.load_weight == task.se.load_weight
    assert child.stack != task.stack
    assert child.usage == 2


def bytes_of(task: task_struct, name: str) -> bytes:
    field = task_struct.fields[name]
    return bytes(task.k.u8[task.pa + field.offset : task.pa + field.offset + field.size])


def test_robust_list_of_others_is_not_for_everybody(world: World) -> None:
    """May a plain process see the list of a task with other IDs, or of one that is not dumpable?"""
    task, other = world.task, world.spawn(world.task)
    other.robust_list = 0x4321
    assert other.mm is not None
    set_dumpable(other.mm, SUID_DUMP_USER)
    call = ("get_robust_list", other.pid, world.memory, world.memory + 8)
    assert world.call(*call) == 0
    assert world.get("Q") == (0x4321,)
    task.uid = task.euid = 1000
    assert world.call(*call) == -Errno.EPERM
    other.uid = other.euid = other.suid = 1000
    assert world.call(*call) == 0
    set_dumpable(other.mm, SUID_DUMP_DISABLE)
    assert world.call(*call) == -Errno.EPERM
    other.mm = None


def test_arch_prctl_has_the_base_loaded_at_once(world: World) -> None:
    """Is the assembly asked to load the bases after each change, and only then?"""
    pcpu = world.k.data(pcpu_hot)
    for set_, get, field in ((arch_prctl.ARCH_SET_FS, arch_prctl.ARCH_GET_FS, "fsbase"),
                             (arch_prctl.ARCH_SET_GS, arch_prctl.ARCH_GET_GS, "gsbase")):
        pcpu.work = 0
        assert world.call("arch_prctl", set_, TASK_SIZE_MAX - 1) == 0
        assert pcpu.work == WORK_LOAD_BASES
        assert getattr(world.task.thread, field) == TASK_SIZE_MAX - 1
        pcpu.work = 0
        assert world.call("arch_prctl", set_, TASK_SIZE_MAX) == -Errno.EPERM
        assert world.call("arch_prctl", get, world.memory) == 0
        assert world.get("Q") == (TASK_SIZE_MAX - 1,)
        assert pcpu.work == 0


# ---- sched_yield, membarrier


def test_yield_gives_way_only_to_somebody(world: World) -> None:
    """Is the CPU given up if another task can run, and kept if not?"""
    k, task, pcpu = world.k, world.task, world.k.data(pcpu_hot)
    init = task_struct(k, world.init)
    assert world.call("sched_yield") == 0
    assert (pcpu.work, pcpu.next_task, runqueue(k).curr) == (WORK_SWITCH, init, init)
    pcpu.work, running = 0, runqueue(k).nr_running
    runqueue(k).nr_running = 1
    assert world.call("sched_yield") == 0
    assert (pcpu.work, runqueue(k).curr) == (0, init)
    runqueue(k).nr_running = running
    assert task.on_rq


def test_membarrier_keeps_registrations_as_linux(world: World) -> None:
    """Do registrations, and what they allow, follow each other as they do natively?"""
    query = membarrier.MEMBARRIER_CMD_GET_REGISTRATIONS
    expected: list[tuple[tuple[int, ...], int]] = [
        ((0, 0, 0), 0x3FF), ((query, 0, 0), 0),
        ((8, 0, 0), -Errno.EPERM), ((32, 0, 0), -Errno.EPERM), ((128, 0, 0), -Errno.EPERM),
        ((2, 0, 0), 0), ((1, 0, 0), 0),
        ((64, 0, 0), 0), ((query, 0, 0), 0x50), ((8, 0, 0), -Errno.EPERM), ((32, 0, 0), 0),
        ((16, 0, 0), 0), ((query, 0, 0), 0x50), ((8, 0, 0), 0),
        ((256, 0, 0), 0), ((query, 0, 0), 0x150),
        ((128, 1, 0), 0), ((128, 1, 99999), 0), ((128, 2, 0), -Errno.EINVAL),
        ((8, 1, 0), -Errno.EINVAL), ((3, 0, 0), -Errno.EINVAL), ((-1, 0, 0), -Errno.EINVAL),
        ((4, 0, 0), 0), ((query, 0, 0), 0x154),
    ]
    for arguments, result in expected:
        world.forget()
        assert world.call("membarrier", *arguments) == result, arguments


# ---- rseq

RSEQ_SIG = 0x5305_3053
START, SIZE, ABORT = 0x40_1000, 0x20, 0x40_2000
AREA, SECTION, SIGNATURE = 0, 64, 256  # places in the program's memory


def test_rseq_area_is_filled_and_emptied(world: World) -> None:
    """Are the CPU's number stored and a stale section forgotten, and is all undone at the end?"""
    area = world.put("IIQIIII", 9, 9, 9, 0, 9, 9, 9)
    assert world.call("rseq", area, 32, 0, RSEQ_SIG) == 0
    assert world.get("IIQIIII") == (0, 0, 0, 0, 0, 0, 9)
    world.forget()
    assert world.call("rseq", area, 32, 0, RSEQ_SIG) == -Errno.EBUSY
    assert world.call("rseq", area, 32, rseq.RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0
    assert world.get("IIQIIII") == (0, 0xFFFF_FFFF, 0, 0, 0, 0, 9)
    assert (world.task.rseq, world.task.rseq_len, world.task.rseq_sig) == (0, 0, 0)


def test_rseq_area_must_be_writable_and_a_program_s(world: World) -> None:
    """Is an area that cannot be kept refused at once, and nothing registered?"""
    for area in (world.memory + 2 * PAGE, TASK_SIZE_MAX - 32 & -32, 1 << 63):
        assert world.call("rseq", area, 32, 0, RSEQ_SIG) == -Errno.EFAULT
    for area, size in ((world.memory + 16, 32), (world.memory, 31), (world.memory, 0)):
        assert world.call("rseq", area, size, 0, RSEQ_SIG) == -Errno.EINVAL
    assert world.task.rseq == 0
    assert world.call("rseq", world.memory, 64, 0, RSEQ_SIG) == 0


def enter_section(world: World, *, version: int = 0, flags: int = 0, start: int = START,
                  size: int = SIZE, abort: int = 0) -> None:
    """Register an area, and let the program be in a section with an abort handler in its memory."""
    world.put("I", RSEQ_SIG, at=SIGNATURE)
    abort = abort or world.memory + SIGNATURE + 4
    section = world.put("IIQQQ", version, flags, start, size, abort & M64, at=SECTION)
    assert world.call("rseq", world.memory + AREA, 32, 0, RSEQ_SIG) == 0
    world.put("Q", section, at=AREA + 8)


@pytest.mark.parametrize(("ip", "inside"), [
    (START - 1, False), (START, True), (START + SIZE - 1, True), (START + SIZE, False),
])
def test_interrupted_section_begins_again(world: World, ip: int, inside: bool) -> None:
    """Does the task go to the abort handler from any instruction of the section, and only there?

    Good: RIP is the handler's, or is left alone; either way the area names no section any more.
    """
    enter_section(world)
    regs = world.regs()
    regs.ip = ip
    assert rseq.rseq_handle_notify_resume(world.task, regs)
    assert regs.ip == (world.memory + SIGNATURE + 4 if inside else ip)
    assert world.get("Q", AREA + 8) == (0,)
    regs.ip = START
    assert rseq.rseq_handle_notify_resume(world.task, regs)
    assert regs.ip == START


@pytest.mark.parametrize("section", [
    {"version": 1}, {"flags": 1}, {"flags": 8}, {"abort": START}, {"abort": START + SIZE - 1},
    {"abort": 2}, {"abort": TASK_SIZE_MAX}, {"start": TASK_SIZE_MAX - SIZE},
    {"size": M64 - START}, {"abort": ABORT},
])
def test_bad_section_is_fatal(world: World, section: dict[str, int]) -> None:
    """Does a section that cannot be right kill, whatever it holds, and never anything else?"""
    enter_section(world, **section)
    regs = world.regs()
    regs.ip = START
    assert not rseq.rseq_handle_notify_resume(world.task, regs)
    assert regs.ip == START


def test_wrong_signature_and_bad_pointers_are_fatal(world: World) -> None:
    """Must the word before the handler be the registered one, and all of it be readable?"""
    enter_section(world)
    regs = world.regs()
    regs.ip = START
    world.put("I", RSEQ_SIG + 1, at=SIGNATURE)
    assert not rseq.rseq_handle_notify_resume(world.task, regs)
    world.put("I", RSEQ_SIG, at=SIGNATURE)
    world.put("I", 1, at=AREA + 16)
    assert not rseq.rseq_handle_notify_resume(world.task, regs)
    world.put("I", 0, at=AREA + 16)
    for pointer in (8, world.memory + 2 * PAGE - 4, TASK_SIZE_MAX, 1 << 63):
        world.put("Q", pointer, at=AREA + 8)
        assert not rseq.rseq_handle_notify_resume(world.task, regs)
    mm = world.task.mm
    assert mm is not None
    do_munmap(mm, world.memory, PAGE)
    assert not rseq.rseq_handle_notify_resume(world.task, regs)


# ---- random


def random_bytes(world: World, n: int) -> bytes:
    assert world.call("getrandom", world.memory, n, 0) == n
    return copy_from_user(world.k, world.memory, n)


def test_random_bytes_follow_from_the_seed_alone() -> None:
    """Are they the same in the same machine, others with another seed, and never repeated?"""
    one, two, other = World(), World(), World()
    other.k.data(sched_data).boot_seed = 8
    first = random_bytes(one, 64)
    assert random_bytes(two, 64) == first
    assert random_bytes(other, 64) != first
    one.forget()
    assert random_bytes(one, 64) == random_bytes(two, 64) != first


def test_getrandom_gives_what_fits(world: World) -> None:
    """Does a fault after the first byte shorten the answer, in a later page too?"""
    end = world.memory + 2 * PAGE
    assert world.call("getrandom", end - 5, 16, 0) == 5
    assert world.call("getrandom", world.memory, 1 << 20, 0) == 2 * PAGE
    assert world.call("getrandom", end, 1, 0) == -Errno.EFAULT
    assert world.call("getrandom", TASK_SIZE_MAX, 1, 0) == -Errno.EFAULT
    assert world.call("getrandom", 1 << 63, 0, 0) == -Errno.EFAULT
    both = random.GRND_RANDOM | random.GRND_INSECURE
    assert world.call("getrandom", world.memory, 1, both) == -Errno.EINVAL


# ---- signals


def test_signal_numbers_are_the_host_s() -> None:
    """Are names and numbers those of Linux on x86-64, and each default action signal(7)'s?"""
    ours = {member.name: member.value for member in numbers.Signal}
    hosts = {member.name: member.value for member in host_signal.Signals
             if not member.name.startswith("SIGRT")}
    assert ours == hosts
    assert [numbers.signal_name(n) for n in (1, 31, 32, 33, 64)] == [
        "SIGHUP", "SIGSYS", "SIGRTMIN", "SIGRT_1", "SIGRT_32"]
    # In the order of the numbers: T term, C core, I ignore, S stop, c continue.
    letters = {numbers.Disposition.TERM: "T", numbers.Disposition.CORE: "C",
               numbers.Disposition.IGN: "I", numbers.Disposition.STOP: "S",
               numbers.Disposition.CONT: "c"}
    assert "".join(letters[numbers.default_action(n)] for n in range(1, 33)) == (
        "TTCCCCCCTTCTTTTTIcSSSSICCTTITTCT")


def test_actions_and_masks_outlive_the_kernel_object(world: World) -> None:
    """Are actions, the blocked set and the alternate stack in RAM?"""
    act = world.put("4Q", 0x1234, M64, 0x5678, M64)
    assert world.call("rt_sigaction", 64, act, 0, 8) == 0
    assert world.call("rt_sigprocmask", sigaction.SIG_SETMASK, world.put("Q", M64), 0, 8) == 0
    assert world.call("sigaltstack", world.put("QI4xQ", 0x7000, 0, 4096), 0) == 0
    world.forget()
    assert world.call("rt_sigaction", 64, 0, act, 8) == 0
    assert world.get("4Q") == (0x1234, sigaction.UAPI_SA_FLAGS, 0x5678,
                               M64 & ~numbers.SIG_KERNEL_ONLY_MASK)
    assert world.call("rt_sigprocmask", 0, 0, world.memory, 8) == 0
    assert world.get("Q") == (M64 & ~numbers.SIG_KERNEL_ONLY_MASK,)
    assert world.call("sigaltstack", 0, world.memory) == 0
    assert world.get("QI4xQ") == (0x7000, 0, 4096)


@pytest.mark.parametrize(("sp", "in_use"), [
    (0x7000, False), (0x7001, True), (0x8000, True), (0x8001, False),
])
def test_stack_in_use_cannot_be_replaced(world: World, sp: int, in_use: bool) -> None:
    """Is it EPERM just while the stack pointer is in the alternate stack?

    One given up by SS_AUTODISARM is never in use.
    """
    for flags in (0, sigaction.SS_AUTODISARM):
        world.regs().sp = 0x10_0000
        new = world.put("QI4xQ", 0x7000, flags, 0x1000)
        assert world.call("sigaltstack", new, 0) == 0
        world.regs().sp = sp
        in_use = in_use and not flags
        assert world.call("sigaltstack", 0, world.memory) == 0
        assert world.get("QI4xQ") == (0x7000, flags | in_use, 0x1000)
        new = world.put("QI4xQ", 0x9000, 0, 0x1000)
        assert world.call("sigaltstack", new, 0) == (-Errno.EPERM if in_use else 0)


def test_altstack_sizes_and_modes(world: World) -> None:
    """Is the smallest stack 2048 bytes, and does a disabled one keep its flag alone?"""
    for flags, size, result in ((0, 2048, 0), (0, 2047, -Errno.ENOMEM), (3, 4096, -Errno.EINVAL),
                                (4, 4096, -Errno.EINVAL), (1, 4096, 0)):
        assert world.call("sigaltstack", world.put("QI4xQ", 0x7000, flags, size), 0) == result
    disable = sigaction.SS_DISABLE | sigaction.SS_AUTODISARM
    assert world.call("sigaltstack", world.put("QI4xQ", 0x7000, disable, 1), world.memory) == 0
    assert world.call("sigaltstack", 0, world.memory) == 0
    assert world.get("QI4xQ") == (0, disable, 0)


# ---- clocks


def read_clock(world: World, clock: int) -> int:
    assert world.call("clock_gettime", clock, world.memory) == 0
    seconds, nanoseconds = world.get("qq")
    assert 0 <= nanoseconds < SECOND
    return int(seconds * SECOND + nanoseconds)


def test_clocks_follow_from_one(world: World) -> None:
    """Do all clocks of the wall and of the machine stand as the one clock says?"""
    now = world.machine.clock
    wall, tick = now + EPOCH * SECOND, now % TICK_NSEC
    assert [read_clock(world, n) for n in (0, 1, 4, 5, 6, 7, 11)] == [
        wall, now, now, wall - tick, now - tick, now, wall]
    assert world.call("gettimeofday", world.memory, world.memory + 16) == 0
    assert world.get("qqii") == (wall // SECOND, wall % SECOND // 1000, 0, 0)
    assert world.call("time", world.memory) == wall // SECOND
    assert world.get("q") == (wall // SECOND,)


def test_cpu_clocks_charge_up_to_now(world: World) -> None:
    """Is CPU time that the scheduler has not charged yet in the answer, and of the right task?"""
    task, other = world.task, world.spawn(world.task)
    task.se.exec_start = world.machine.clock
    other.utime, other.stime, other.se.sum_exec_runtime = 50, 7, 60
    world.machine.clock += 1000
    assert read_clock(world, clocks.CLOCK_THREAD_CPUTIME_ID) == 1000
    world.machine.clock += 1000
    assert read_clock(world, clocks.CLOCK_PROCESS_CPUTIME_ID) == 2000
    for nr, expected in ((0, 2000), (task.pid, 2000), (other.pid, 60)):
        assert read_clock(world, ~nr << 3 | CPUCLOCK_SCHED) == expected
    assert read_clock(world, ~other.pid << 3 | CPUCLOCK_VIRT) == 50
    assert read_clock(world, ~other.pid << 3 | CPUCLOCK_PROF) == 57


def test_cpu_clocks_of_nobody_are_invalid(world: World) -> None:
    """Which CPU clocks are there?  A thread's only within its process, a process' for all."""
    task, other = world.task, world.spawn(world.task)
    thread = clocks.CPUCLOCK_PERTHREAD
    for clock, result in (
        (~task.pid << 3 | thread | 2, 0), (~other.pid << 3 | thread | 2, -Errno.EINVAL),
        (~NO_SUCH_PID << 3 | 2, -Errno.EINVAL), (~0 << 3 | clocks.CLOCKFD, -Errno.EINVAL),
        (-1, -Errno.EINVAL), (8, -Errno.EINVAL), (9, -Errno.EINVAL), (10, -Errno.EINVAL),
        (12, -Errno.EINVAL),
    ):
        assert world.call("clock_gettime", clock, world.memory) == result, clock
        assert world.call("clock_getres", clock, 0) == result, clock
    for clock, resolution in ((1, 1), (2, 1), (5, TICK_NSEC), (~0 << 3 | 2, 1),
                              (~0 << 3, TICK_NSEC)):
        assert world.call("clock_getres", clock, world.memory) == 0
        assert world.get("qq") == (0, resolution)


# ---- sleep


def test_sleep_is_retried_until_its_deadline(world: World) -> None:
    """Does a wake-up that comes too early put the task to sleep again, for the rest only?

    Good: the deadline is that of the first try, whatever became of the kernel object, the
    program's memory and the number of wake-ups meanwhile.
    """
    call = ("nanosleep", world.put("qq", 2, 500), 0)
    deadline = world.machine.clock + 2 * SECOND + 500
    assert world.sleeps(*call) == deadline
    world.put("qq", 9, 9)
    for _ in range(3):
        world.machine.clock += SECOND // 2
        world.forget()
        assert wake_up_process(world.task)
        assert world.sleeps(*call) == deadline
    world.machine.clock = deadline
    hrtimer_interrupt(world.k)
    assert task_state(world.task) == 0
    assert world.call(*call) == 0
    assert not world.k.data(sched_data).hrtimer_bases.active_bases
    assert world.task.restart_block.fn == 0


def test_sleep_of_no_length_lets_others_run(world: World) -> None:
    """Does nanosleep(0) sleep at all?  Yes: programs call it to give way."""
    call = ("nanosleep", world.put("qq", 0, 0), 0)
    assert world.sleeps(*call) == world.machine.clock
    hrtimer_interrupt(world.k)
    assert world.call(*call) == 0


def test_endless_sleep_has_no_timer(world: World) -> None:
    """Is a sleep of 292 years or more one without an end, relative and absolute?

    Bad: the idle machine jumps to a deadline that nobody meant.
    """
    for seconds in (9_223_372_037, (1 << 63) - 1):
        request = world.put("qq", seconds, 0)
        for call in (("nanosleep", request, 0), ("clock_nanosleep", 0, 1, request, 0),
                     ("clock_nanosleep", 1, 0, request, 0)):
            assert world.sleeps(*call) == NEVER
            assert not world.k.data(sched_data).hrtimer_bases.active_bases
            wake_up_process(world.task)
            world.run(world.task)
            world.task.restart_block.fn = 0


def test_signal_ends_a_sleep_and_tells_the_rest(world: World) -> None:
    """Is the rest stored, for a relative sleep only, and EFAULT if it cannot be?"""
    block, none = -Errno.ERESTART_RESTARTBLOCK, -Errno.ERESTARTNOHAND
    request = world.put("qq", 10, 0)
    rest = world.put("qq", 77, 88, at=16)
    now = world.machine.clock
    absolute = world.put("qq", *divmod(now + 10 * SECOND, SECOND), at=32)
    for call, result, left in (
        (("nanosleep", request, rest), block, (6, SECOND - 1)),
        (("clock_nanosleep", 1, 0, request, rest), block, (6, SECOND - 1)),
        (("clock_nanosleep", 1, nanosleep.TIMER_ABSTIME, absolute, rest), none, (77, 88)),
        (("nanosleep", request, 0), block, (77, 88)),
        (("nanosleep", request, 8), -Errno.EFAULT, (77, 88)),
    ):
        world.machine.clock = now
        world.put("qq", 77, 88, at=16)
        world.sleeps(*call)
        world.machine.clock = now + 3 * SECOND + 1
        wake_up_process(world.task)
        world.task.thread_info.flags |= TIF_SIGPENDING
        assert world.call(*call) == result
        assert world.get("qq", 16) == left
        world.task.thread_info.flags = 0
        assert not world.k.data(sched_data).hrtimer_bases.active_bases


def test_absolute_sleep_is_by_its_own_clock(world: World) -> None:
    """Does a point of time on the wall clock become the right deadline, and a past one none?"""
    now = world.machine.clock
    for clock, base in ((0, EPOCH * SECOND), (11, EPOCH * SECOND), (1, 0), (7, 0)):
        at = world.put("qq", *divmod(now + base + 5000, SECOND))
        expires = world.sleeps("clock_nanosleep", clock, 1, at, 0)
        assert expires - base_offset(world.k, world.task.sleep_timer.base) == now + 5000
        wake_up_process(world.task)
        world.run(world.task)
        finish_wait(world.task)
        world.task.restart_block.fn = 0
        at = world.put("qq", *divmod(now + base, SECOND))
        assert world.call("clock_nanosleep", clock, 1, at, 0) == 0


@pytest.mark.parametrize(("clock", "error"), [
    (3, Errno.EOPNOTSUPP), (4, Errno.EOPNOTSUPP), (8, Errno.EOPNOTSUPP),
    (10, Errno.EINVAL), (12, Errno.EINVAL), (-1, Errno.EINVAL), (~0 << 3 | 6, Errno.EINVAL),
    (~0 << 3 | 3, Errno.EOPNOTSUPP),
    (~NO_SUCH_PID << 3 | 2, Errno.EINVAL),
])
def test_clocks_that_cannot_be_slept_on(world: World, clock: int, error: Errno) -> None:
    """Is each refused as Linux does?"""
    assert world.call("clock_nanosleep", clock, 0, world.put("qq", 0, 1), 0) == -error


# ---- RAM is the only memory

OPERATIONS: dict[str, Callable[[World, int], tuple[Any, ...]]] = {
    "rlimit": lambda w, n: ("prlimit64", 0, n % 17, w.put("QQ", n, 2 * n), w.memory + 16),
    "name": lambda w, n: ("prctl", prctl.PR_SET_NAME, w.put("16s", b"%d" % n)),
    "get name": lambda w, n: ("prctl", prctl.PR_GET_NAME, w.memory),
    "subreaper": lambda w, n: ("prctl", prctl.PR_SET_CHILD_SUBREAPER, n % 2),
    "slack": lambda w, n: ("prctl", prctl.PR_SET_TIMERSLACK, n),
    "membarrier": lambda w, n: ("membarrier", 1 << n % 10, 0, 0),
    "rseq": lambda w, n: ("rseq", w.memory + 64, 32, n % 2, 1),
    "random": lambda w, n: ("getrandom", w.memory, n, 0),
    "action": lambda w, n: ("rt_sigaction", n % 66, w.put("4Q", n, n, n, n), w.memory + 32, 8),
    "mask": lambda w, n: ("rt_sigprocmask", n % 4, w.put("Q", n), w.memory + 8, 8),
    "stack": lambda w, n: ("sigaltstack", w.put("QI4xQ", n, n % 4, 16 * n), w.memory + 24),
    "base": lambda w, n: ("arch_prctl", 0x1000 + n % 6, w.memory + n),
    "clock": lambda w, n: ("clock_gettime", n % 13, w.memory),
    "usage": lambda w, n: ("getrusage", n % 3 - 1, w.memory),
    "times": lambda w, n: ("times", w.memory),
    "sysinfo": lambda w, n: ("sysinfo", w.memory),
    "group": lambda w, n: ("getpgid", n % 4),
}


def perform(operations: list[tuple[str, int]], *, forget: bool) -> tuple[list[int], World]:
    """Make the calls, with the kernel object thrown away before each if ``forget``."""
    world = World()
    answers = []
    for name, n in operations:
        world.machine.clock += n * 1000
        call, *arguments = OPERATIONS[name](world, n)
        if forget:
            world.forget()
        answers.append(world.call(call, *arguments))
    return answers, world


@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 2000)), max_size=25))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_calls_keep_nothing_outside_ram(operations: list[tuple[str, int]]) -> None:
    """If the kernel object is thrown away before each call, does nothing change?

    Good: the same answers and the same RAM.  Bad: something was kept in Python only.
    """
    answers, one = perform(operations, forget=False)
    again, two = perform(operations, forget=True)
    assert answers == again
    assert bytes(one.k.ram.u8) == bytes(two.k.ram.u8)
