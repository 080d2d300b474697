"""Tasks that use semaphores, on plain RAM: no CPU, and no scheduler that picks anybody.

A task "sleeps" by its state alone: it stays on the run queue, because nobody is ever picked.
Whoever's turn it is, the test decides.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from address_space import DATA, PAGE, RODATA, TEXT

from emulator.memory import Ram
from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.ipc import sem
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK, START_KERNEL_MAP, Struct
from guest_kernel.layout.ipc import ipc_data
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    TASK_RUNNING,
    THREAD_SIZE,
    TIF_SIGPENDING,
    pcpu_hot,
    sched_data,
    task_struct,
)
from guest_kernel.mm.mm import mm_alloc, mm_init
from guest_kernel.mm.mmap import do_mmap
from guest_kernel.mm.page_alloc import (
    OutOfFrames,
    drain_local_pages,
    mem_init,
    nr_free_pages,
)
from guest_kernel.mm.pgtable import paging_init
from guest_kernel.mm.slab import (
    for_each_slab_cache,
    kmem_cache_init,
    kmem_cache_usage,
    shrink_slabs,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.fork import init_idle, kernel_thread
from guest_kernel.process.kthread import KthreadFn
from guest_kernel.process.pid import pid_init
from guest_kernel.sched.core import sched_init, task_state, wake_up_process
from guest_kernel.sched.wait import finish_wait
from guest_kernel.syscalls import ARGUMENT_REGISTERS, DEFINITIONS
from guest_kernel.time.hrtimer import hrtimer_interrupt

RAM_SIZE: Final = 32 << 20
GLOBALS: tuple[type[Struct], ...] = (mm_data, vm_data, pcpu_hot, sched_data, ipc_data)
SYMBOLS_END: Final = DATA[0] + 0x4000
EPOCH: Final = 1_700_000_000
SECOND: Final = 10**9
M64: Final = (1 << 64) - 1
ASLEEP: Final = None  # what a call has returned that has not returned

STAT: Final = struct.Struct("<i5IH2x4x16xq8xq8xQ16x")


class FakeMachine:
    """What the kernel needs of a machine here: a clock, and a timer that nobody looks at."""

    def __init__(self) -> None:
        self.clock = 5 * SECOND

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
    return RamKernel(ram, symbols, DATA[1], machine)


class World:
    """A booted kernel and some tasks with a page of memory in common.

    Args:
        nr_tasks: how many.
    """

    def __init__(self, nr_tasks: int) -> None:
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
        sem.sem_init(k)
        k.data(sched_data).xtime_base = EPOCH * SECOND
        mm = mm_alloc(k)
        self._tasks = []
        for _ in range(nr_tasks):
            task = kernel_thread(k, KthreadFn.KTHREADD, 0, b"task")
            task.mm = task.active_mm = mm
            self._tasks.append(task.pa)
        self.memory, _ = do_mmap(mm, None, 0, 16 * PAGE, 3, 0x22, 0)
        self._run(0)

    def task(self, number: int) -> task_struct:
        return task_struct(self.k, self._tasks[number])

    def forget(self) -> None:
        """Throw the kernel object away; the next one has RAM alone to start from."""
        self.k = attach(self.k.ram, self.machine)

    @property
    def seconds(self) -> int:
        """What time(2) would say: the wall clock at the last tick."""
        return EPOCH + self.machine.clock // 4_000_000 * 4_000_000 // SECOND

    def _run(self, number: int) -> task_struct:
        task = self.task(number)
        hot = self.k.data(pcpu_hot)
        hot.current_task = task
        hot.preempt_count = 0
        return task

    # ---- system calls

    def call(self, number: int, name: str, *arguments: int) -> int | None:
        """Make a system call of task ``number``; return what RAX would be, or ASLEEP."""
        regs = self._regs(self._run(number))
        for register, value in zip(ARGUMENT_REGISTERS, arguments, strict=False):
            setattr(regs, register, value & M64)
        return self._dispatch(number, name)

    def again(self, number: int, name: str) -> int | None:
        """Have a task that was woken make its call again, as the dispatcher does."""
        task = self._run(number)
        assert task_state(task) == TASK_RUNNING
        assert task.restart_block.fn
        finish_wait(task)
        return self._dispatch(number, name)

    def _regs(self, task: task_struct) -> pt_regs:
        return pt_regs(self.k, (task.stack & PHYSICAL_MASK) + THREAD_SIZE - pt_regs.size)

    def _dispatch(self, number: int, name: str) -> int | None:
        task = self.task(number)
        try:
            result = DEFINITIONS[f"sys_{name}"].adapter(task, self._regs(task).pa >> 3)
        except SyscallError as error:
            result = -error.errno
        except OutOfFrames:
            result = -Errno.ENOMEM
        except Sleep:
            task.restart_block.fn = 1
            return ASLEEP
        task.restart_block.fn = 0
        return result

    def is_asleep(self, number: int) -> bool:
        return task_state(self.task(number)) != TASK_RUNNING

    def wake(self, number: int) -> None:
        """Wake a task for nothing."""
        assert wake_up_process(self.task(number))

    def signal(self, number: int) -> None:
        """Have a signal wait for a task, and wake it."""
        self.task(number).thread_info.flags |= TIF_SIGPENDING
        wake_up_process(self.task(number))

    def no_signal(self, number: int) -> None:
        """Have it taken."""
        self.task(number).thread_info.flags &= ~TIF_SIGPENDING

    def advance(self, ns: int) -> None:
        """Let time pass; timers expire."""
        self.machine.clock += ns
        hrtimer_interrupt(self.k)

    def put(self, layout: str, *values: int | bytes, at: int = 0) -> int:
        """Store a structure in user memory and return its address."""
        copy_to_user(self.k, self.memory + at, struct.pack(layout, *values))
        return self.memory + at

    def get(self, layout: str, at: int = 0) -> tuple[Any, ...]:
        """Return a structure from user memory."""
        return struct.unpack(layout, copy_from_user(self.k, self.memory + at,
                                                    struct.calcsize(layout)))

    # ---- semaphores

    def semop(self, number: int, semid: int, *ops: tuple[int, int, int],
              timeout: int | None = None) -> int | None:
        """Operate on a set; ``timeout`` in ns."""
        sops = self.put("<" + "Hhh" * len(ops), *(field for op in ops for field in op))
        if timeout is None:
            return self.call(number, "semop", semid, sops, len(ops))
        time = self.put("<qq", *divmod(timeout, SECOND), at=PAGE)
        return self.call(number, "semtimedop", semid, sops, len(ops), time)

    def values(self, semid: int, nsems: int, number: int = 0) -> tuple[int, ...]:
        """Return the values of a set."""
        assert self.call(number, "semctl", semid, 0, sem.GETALL, self.memory) == 0
        return self.get(f"<{nsems}H")

    # ---- accounts

    def usage(self) -> tuple[int, dict[str, int]]:
        """Free frames, and the objects in use of each slab cache but that of the caches."""
        shrink_slabs(self.k)
        drain_local_pages(self.k)
        usage = {cache.name.decode(): kmem_cache_usage(cache)[0]
                 for cache in for_each_slab_cache(self.k)}
        del usage["kmem_cache"]
        return nr_free_pages(self.k), {name: n for name, n in usage.items() if n}
