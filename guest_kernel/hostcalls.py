"""Where the guest's host calls arrive: one object per machine, which only dispatches.

See: Linux arch/x86/entry/common.c do_syscall_64(); asm/entry.asm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emulator.arch.exceptions import FIRST_EXTERNAL_VECTOR, Vector
from emulator.machine import Machine
from guest_kernel.errors import Errno, KernelPanic, Sleep, SyscallError
from guest_kernel.fs.file import put_restart_file
from guest_kernel.init import start_kernel
from guest_kernel.ipc import sem
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.printk import printk_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    PF_EXITING,
    TASK_DEAD,
    TASK_STOPPED,
    TIF_NEED_RESCHED,
    TIF_SIGPENDING,
    WORK_SCHEDULE,
    pcpu_hot,
    restart_block,
    task_struct,
)
from guest_kernel.layout.stats import stats_data
from guest_kernel.mm import madvise, mincore, mprotect, mremap, msync
from guest_kernel.mm.fault import PageFaultFailed
from guest_kernel.mm.memory import handle_mm_fault
from guest_kernel.mm.mm import finish_exec_mm
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.oops import oops
from guest_kernel.printk import KERN_INFO, printk
from guest_kernel.process import (
    arch_prctl,
    cred,
    ids,
    kthread,
    membarrier,
    pid_info,
    prctl,
    random,
    resource,
    rseq,
    sys,
)
from guest_kernel.process.exit import do_group_exit, finish_task_switch
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.rseq import rseq_handle_notify_resume
from guest_kernel.sched import syscalls as sched_syscalls
from guest_kernel.sched.core import (
    pick_next_task,
    preempt_schedule,
    set_task_state,
    task_state,
    wake_up_process,
)
from guest_kernel.sched.wait import finish_wait, start_sleep_timer
from guest_kernel.signal import sigaction
from guest_kernel.signal import wait as signal_wait
from guest_kernel.signal.delivery import do_signal
from guest_kernel.signal.numbers import SIGKILL, SIGSEGV
from guest_kernel.signal.signal import force_fatal_sig, signal_of
from guest_kernel.syscall_table import load, number
from guest_kernel.syscalls import DEFINITIONS, Adapter
from guest_kernel.time import clocks, itimer, nanosleep, posix_timers, settime
from guest_kernel.time.cputimers import set_cputime_event
from guest_kernel.time.hrtimer import tick_program_event
from guest_kernel.time.timekeeping import ktime_get
from guest_kernel.traps import (
    bad_area,
    bad_iret,
    do_exception,
    pagefault_out_of_memory,
)

# Imported for the handlers that they define.
HANDLERS: Final = (arch_prctl, clocks, cred, ids, itimer, madvise, membarrier, mincore, mprotect,
                   mremap, msync, nanosleep, pid_info, posix_timers, prctl, random, resource,
                   rseq, sched_syscalls, sem, settime, sigaction, signal_wait, sys)

_M64: Final = (1 << 64) - 1
_RESTART_SYSCALL: Final = number("restart_syscall")
_SYSCALL: Final = int(HostCall.SYSCALL)
_EXCEPTION: Final = int(HostCall.EXCEPTION)
_PAGE_FAULT: Final = int(HostCall.EXCEPTION | Vector.PF << 8)
_TOP_OF_STACK: Final = pcpu_hot.offsetof("top_of_stack")
_AX: Final = pt_regs.offsetof("ax") >> 3
_ORIG_AX: Final = pt_regs.offsetof("orig_ax") >> 3
_ORIG_AX_BYTES: Final = pt_regs.offsetof("orig_ax")
_CS: Final = pt_regs.offsetof("cs")
_PT_REGS_SIZE: Final = pt_regs.size
_RESTART_FN: Final = task_struct.offsetof("restart_block.fn") >> 3
_RESTART_BLOCK: Final = -int(Errno.ERESTART_RESTARTBLOCK)
_RESTART_REGS: Final = task_struct.offsetof("restart_block.regs") >> 3
# The part of pt_regs that arguments are in.
_ARGUMENTS: Final = pt_regs.offsetof("r10") >> 3
_ARGUMENTS_END: Final = _ARGUMENTS + restart_block.fields["regs"].size // 8
_COUNTS: Final = stats_data.offsetof("syscalls")
_NR_COUNTS: Final = stats_data.fields["syscalls"].size // 8


class Tracer:
    """Who watches tasks: a front end.  It changes nothing but ``syscall_work``."""

    def attach(self, task: task_struct) -> None:
        """``task`` has become a program and is about to begin."""

    def signal(self, task: task_struct, info: bytes) -> None:
        """A signal is taken; ``info`` is its siginfo."""

    def stop(self, task: task_struct, sig: int) -> None:
        """A task has been stopped by ``sig``."""

    def oops(self, task: task_struct, error: BaseException) -> None:
        """The kernel has made a mistake while it worked for ``task``."""

    def exit(self, task: task_struct, status: int) -> None:
        """A task has ended; ``status`` is its wait status."""

    def enter(self, task: task_struct, nr: int, regs: int) -> None:
        """A call begins; ``regs`` is the index of its pt_regs in ``u64``."""

    def leave(self, task: task_struct, nr: int, regs: int, result: int) -> None:
        """A call has ended with ``result``."""


class Handlers(dict[int, Adapter]):
    """The handlers of system calls by number; for a number without one, one that answers ENOSYS."""

    def __missing__(self, nr: int) -> Adapter:
        def sys_ni_syscall(current: task_struct, _: int) -> int:
            printk(current.k, KERN_INFO, f"{current.comm.decode('utf-8', 'replace')}"
                                         f"[{current.pid}]: system call {nr} is not implemented")
            return -Errno.ENOSYS

        return sys_ni_syscall


def bind() -> Handlers:
    """Return the handlers by number.

    Raises:
        ValueError: a row names an entry point without a handler, or a handler has no row.
    """
    rows = load()
    entries = {row.entry for row in rows if row.entry is not None}
    missing = sorted(entries - DEFINITIONS.keys())
    extra = sorted(DEFINITIONS.keys() - entries)
    if missing or extra:
        raise ValueError(f"syscalls.tbl: no handler for {missing}; no row for {extra}")
    return Handlers((row.number, DEFINITIONS[row.entry].adapter)
                    for row in rows if row.entry is not None)


class HostCalls:
    """The hosted half of the kernel, attached to one machine.

    Args:
        machine: its ``host_call`` is set.
        symbols, image_end: of the image that runs on it.

    Attributes:
        k: the kernel.
        tracer: told of each system call.
    """

    def __init__(self, machine: Machine, symbols: dict[str, int], image_end: int) -> None:
        self.k = k = Kernel(machine.ram, symbols, image_end, machine)
        self.tracer: Tracer | None = None
        self._handlers = bind()
        self._top_index = (symbols["pcpu_hot"] + _TOP_OF_STACK & PHYSICAL_MASK) >> 3
        pcpu = symbols["pcpu_hot"] & PHYSICAL_MASK
        self._regs_index = (pcpu + pcpu_hot.offsetof("regs")) >> 3
        self._cr2_index = (pcpu + pcpu_hot.offsetof("cr2")) >> 3
        self._counts = k.data(stats_data).pa + _COUNTS >> 3
        self._calls: dict[int, Callable[[], None]] = {
            HostCall.START_KERNEL: lambda: start_kernel(k),
            HostCall.SCHEDULE: self._schedule,
            HostCall.PREEMPT_SCHEDULE: self._preempt_schedule,
            HostCall.FINISH_EXEC_MM: lambda: finish_exec_mm(k),
            HostCall.FINISH_SWITCH: lambda: finish_task_switch(k),
            HostCall.EXIT_WORK: self._exit_work,
            HostCall.KTHREAD: self._kthread,
            HostCall.KTHREAD_EXIT: lambda: self._sleeps(
                lambda: kthread.kthread_exit(k.current(), k.data(pcpu_hot).arg)),
            HostCall.WAKE_UP_PROCESS: self._wake_up_process,
            HostCall.SET_CURRENT_STATE: lambda: set_task_state(
                k.current(), k.data(pcpu_hot).arg),
            HostCall.KTIME_GET: self._ktime_get,
            HostCall.START_SLEEP_TIMER: lambda: start_sleep_timer(
                k.current(), k.data(pcpu_hot).arg),
            HostCall.STOP_SLEEP_TIMER: lambda: finish_wait(k.current()),
            HostCall.PROGRAM_EVENT: lambda: tick_program_event(k, k.data(pcpu_hot).arg),
            HostCall.CPUTIMERS: lambda: set_cputime_event(k),
            HostCall.BAD_IRET: lambda: bad_iret(k.current()),
        }
        machine.host_call = self.call
        machine.cpu.count_ring0(pcpu + pcpu_hot.offsetof("ring0_since"))

    def call(self, value: int) -> None:
        """Serve one host call; an exception that nobody meant is an oops.

        Raises:
            KernelPanic: the kernel cannot go on.
        """
        try:
            if value == _SYSCALL:
                self._syscall()
            elif value == _PAGE_FAULT:
                self._page_fault()
            elif value & 0xFF == _EXCEPTION:
                self._exception(value >> 8)
            else:
                self._calls[value]()
        except Exception as error:  # the one place where our own mistakes are caught
            self._oops(value, error)

    def handler(self, value: int) -> Callable[..., object] | None:
        """Return the function that serves a host call which is about to be made.

        A system call's is its ``sys_*``; None: it has none, and fails with ENOSYS.
        """
        if value == _SYSCALL:
            k = self.k
            regs = ((k.u64[self._top_index] & PHYSICAL_MASK) - _PT_REGS_SIZE) >> 3
            nr = k.u64[regs + _ORIG_AX] & 0xFFFF_FFFF
            if nr == _RESTART_SYSCALL:
                nr = k.current().restart_block.restart - 1
            entry = next((row.entry for row in load() if row.number == nr), None)
            return None if entry is None else DEFINITIONS[entry].function
        if value & 0xFF == _EXCEPTION:
            return handle_mm_fault if value == _PAGE_FAULT else do_exception
        return self._calls.get(value)

    def _oops(self, value: int, error: Exception) -> None:
        """Kill the task that the mistake was made for, or stop the machine."""
        k = self.k
        oops(k, error)
        current = k.current()
        if self.tracer is not None:
            self.tracer.oops(current, error)
        # An exception of ring 3, or a system call; not an interrupt, which is nobody's.
        exception = value & 0xFF == _EXCEPTION and value >> 8 < FIRST_EXTERNAL_VECTOR
        for_a_task = (value == _SYSCALL or exception) and current.mm is not None
        if isinstance(error, KernelPanic):
            raise error
        if current.flags & PF_EXITING:
            raise KernelPanic("Fixing recursive fault but reboot is needed!") from error
        if not for_a_task or k.data(printk_data).panic_on_oops:
            raise KernelPanic(f"Fatal exception: {type(error).__name__}: {error}") from error
        self._sleeps(lambda: do_group_exit(current, SIGKILL))

    def _sleeps(self, action: Callable[[], object]) -> None:
        """Do what may put the task to sleep."""
        try:
            action()
        except Sleep:
            self.k.ask(WORK_SCHEDULE)

    def _page_fault(self) -> None:
        """The commonest exception, handled here if it is a user's and can be: see traps.py."""
        k = self.k
        u64 = k.u64
        regs = u64[self._regs_index] & PHYSICAL_MASK
        if not u64[(regs + _CS) >> 3] & 3:
            self._exception(Vector.PF)
            return
        va, error_code = u64[self._cr2_index], u64[(regs + _ORIG_AX_BYTES) >> 3]
        try:
            handle_mm_fault(k.current(), va, error_code)
        except PageFaultFailed as fault:
            self._bad_area(fault, regs, va, error_code)
        except OutOfFrames:
            self._sleeps(lambda: pagefault_out_of_memory(self.k.current()))

    def _bad_area(self, fault: PageFaultFailed, regs: int, va: int, error_code: int) -> None:
        # On its own: variables that a lambda shares would slow every fault down.
        k = self.k
        self._sleeps(lambda: bad_area(k.current(), pt_regs(k, regs), fault, va, error_code))

    def _exception(self, vector: int) -> None:
        try:
            do_exception(self.k, vector)
        except Sleep:
            self.k.ask(WORK_SCHEDULE)

    def _syscall(self) -> None:
        k = self.k
        u64 = k.u64
        regs = (u64[self._top_index] & PHYSICAL_MASK) - _PT_REGS_SIZE >> 3
        nr = u64[regs + _ORIG_AX] & 0xFFFF_FFFF
        current = k.current()
        restart = (current.pa >> 3) + _RESTART_FN
        slept = u64[restart]
        if slept:
            finish_wait(current)
        elif self.tracer is not None:
            self.tracer.enter(current, nr, regs)
        called, given = nr, regs
        if nr == _RESTART_SYSCALL:  # goes on with a call that a signal has interrupted
            u64[restart] = slept = slept or current.restart_block.restart
            if slept:
                # With that call's arguments, whatever the registers hold now.
                nr, given = slept - 1, (current.pa >> 3) + _RESTART_REGS - _ARGUMENTS
        try:
            result = self._handlers[nr](current, given)
        except SyscallError as error:
            result = -error.errno
        except Sleep:
            u64[restart] = nr + 1
            k.ask(WORK_SCHEDULE)
            return
        except OutOfFrames:
            finish_wait(current)  # it may be on some of the queues that it wanted to be on
            result = -Errno.ENOMEM
        if result == _RESTART_BLOCK:
            current.restart_block.restart = nr + 1
            first = (current.pa >> 3) + _RESTART_REGS
            u64[first : first + _ARGUMENTS_END - _ARGUMENTS] = (
                u64[given + _ARGUMENTS : given + _ARGUMENTS_END])
        if slept:
            u64[restart] = 0
            put_restart_file(current)
        u64[regs + _AX] = result & _M64
        if nr < _NR_COUNTS:
            u64[self._counts + nr] += 1
        if self.tracer is not None:
            self.tracer.leave(current, called, regs, result)

    def _schedule(self) -> None:
        k = self.k
        if self.tracer is not None:
            current = k.current()
            if current.exit_state and task_state(current) == TASK_DEAD:
                self.tracer.exit(current, current.exit_code)
            elif task_state(current) == TASK_STOPPED:
                self.tracer.stop(current, signal_of(current).group_exit_code)
        pick_next_task(k)

    def _preempt_schedule(self) -> None:
        pick_next_task(self.k, preempt=True)

    def _exit_work(self) -> None:
        """Do one round of what has to be done before ring 3.  See exit_to_user_mode_loop()."""
        current = self.k.current()
        flags = current.thread_info.flags
        if flags & TIF_NEED_RESCHED:
            regs = task_pt_regs(current)
            if current.rseq and not rseq_handle_notify_resume(current, regs):
                force_fatal_sig(current, SIGSEGV)
                return
            preempt_schedule(self.k)
        elif flags & TIF_SIGPENDING:
            report = self.tracer.signal if self.tracer is not None else None
            self._sleeps(lambda: do_signal(current, report))

    def _wake_up_process(self) -> None:
        pcpu = self.k.data(pcpu_hot)
        pcpu.arg = int(wake_up_process(task_struct.at(self.k, pcpu.arg)))

    def _ktime_get(self) -> None:
        self.k.data(pcpu_hot).arg = ktime_get(self.k)

    def _kthread(self) -> None:
        current = self.k.current()
        finish_wait(current)
        self._sleeps(lambda: kthread.kthread_step(current))
        if self.tracer is not None and current.mm is not None:
            self.tracer.attach(current)
