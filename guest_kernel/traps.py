"""Exceptions and interrupts, as the IDT's stubs hand them over.

From ring 3 an exception is the program's: a page fault is handled or becomes SIGSEGV, the others
become their signals.  From ring 0 it is the kernel's own fault: an oops.

See: Linux arch/x86/kernel/traps.c, arch/x86/mm/fault.c, kernel/irq/handle.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emulator.arch.descriptors import USER_CS, USER_DS
from emulator.arch.exceptions import PageFaultError, Vector
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.mm_types import TASK_SIZE_MAX
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import pcpu_hot, task_struct
from guest_kernel.mm.fault import BusError, PageFaultFailed
from guest_kernel.mm.memory import handle_mm_fault
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.printk import KERN_ERR, KERN_INFO, printk
from guest_kernel.process.exit import do_group_exit
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.fpu import fpu_exception_code
from guest_kernel.sched.core import scheduler_tick
from guest_kernel.sched.preempt import irq_enter, irq_exit
from guest_kernel.signal.numbers import (
    BUS_ADRALN,
    FPE_INTDIV,
    ILL_ILLOPN,
    SIG_DFL,
    SIG_IGN,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGKILL,
    SIGSEGV,
    SIGTRAP,
    TRAP_TRACE,
    sigmask,
)
from guest_kernel.signal.signal import fault_info, force_sig_info, kernel_info, sig_handler
from guest_kernel.time.hrtimer import hrtimer_interrupt

FIRST_IRQ_VECTOR: Final = 0x20
TIMER_IRQ: Final = 0
RUN_IRQ: Final = 5  # the front end has put a program to run: see init.py
SERIAL_IRQ: Final = 4
WINDOW_IRQ: Final = 6  # the terminal's window has another size: see drivers/console.py

_SIGNALS: Final = {
    Vector.DE: SIGFPE, Vector.DB: SIGTRAP, Vector.BP: SIGTRAP, Vector.OF: SIGSEGV,
    Vector.BR: SIGSEGV, Vector.UD: SIGILL, Vector.NM: SIGSEGV, Vector.TS: SIGSEGV,
    Vector.NP: SIGBUS, Vector.SS: SIGBUS, Vector.GP: SIGSEGV, Vector.MF: SIGFPE,
    Vector.AC: SIGBUS, Vector.XM: SIGFPE,
}

# si_code of those whose si_addr is the instruction; the others are SI_KERNEL.
_CODES: Final = {
    Vector.DE: FPE_INTDIV, Vector.DB: TRAP_TRACE, Vector.UD: ILL_ILLOPN, Vector.AC: BUS_ADRALN,
}

_NAMES: Final = {
    Vector.DE: "divide error", Vector.UD: "invalid opcode", Vector.GP: "general protection fault",
    Vector.BP: "int3", Vector.SS: "stack segment",
}

# Instructions of the kernel that access user memory, and where it goes on if that is impossible.
EX_TABLE: Final = {
    "put_child_tid": "put_child_tid_fixup", "signal_put_frame": "signal_put_fixup",
    "signal_put_fpstate": "signal_put_fixup", "signal_get_frame": "signal_get_fixup",
    "signal_get_fpstate": "signal_get_fixup", "robust_get_next": "hosted_syscall",
    "robust_get_pending": "hosted_syscall",
}

SELECTOR_ERROR_MASK: Final = 0xFFFC  # of a selector, what an error code holds: not the RPL

_REGS: Final = pcpu_hot.offsetof("regs")
_CS: Final = pt_regs.offsetof("cs")


def do_exception(k: Kernel, vector: int) -> None:
    """Handle what the stub of ``vector`` has pushed; a page fault of ring 3 does not come here.

    Raises:
        Sleep: the task has been killed.
        KernelPanic: it came from ring 0.
    """
    regs = k.u64[(k.data(pcpu_hot).pa + _REGS) >> 3] & PHYSICAL_MASK
    if vector >= FIRST_IRQ_VECTOR:
        do_IRQ(k, vector - FIRST_IRQ_VECTOR)
        return
    if not k.u64[(regs + _CS) >> 3] & 3:
        if vector != Vector.PF or not _user_access(k, pt_regs(k, regs)):
            _die(k, pt_regs(k, regs), vector)
        return
    _trap(k.current(), pt_regs(k, regs), vector)


def _user_access(k: Kernel, regs: pt_regs) -> bool:
    """Serve a page fault of an instruction that accesses user memory for the kernel.

    If the page cannot be had, what follows the instruction goes on.  See Linux
    Documentation/arch/x86/exception-tables.rst.

    Returns:
        False: the instruction is none of these.
    """
    symbol = next((name for name in EX_TABLE if k.symbols[name] == regs.ip), None)
    if symbol is None:
        return False
    try:
        handle_mm_fault(k.current(), k.data(pcpu_hot).cr2, regs.orig_ax | int(PageFaultError.U))
    except (PageFaultFailed, OutOfFrames):
        regs.ip = k.symbols[EX_TABLE[symbol]]
    return True


def bad_area(task: task_struct, regs: pt_regs, fault: PageFaultFailed, va: int,
             error_code: int) -> None:
    """Make a page fault that cannot be satisfied the program's signal."""
    what, signal = ("bus error", SIGBUS) if isinstance(fault, BusError) else ("segfault", SIGSEGV)
    task.thread.cr2 = va
    if va >= TASK_SIZE_MAX:
        error_code |= PageFaultError.P  # whether the kernel has a page there is nobody's business
    _force_sig(task, regs, signal, Vector.PF, error_code, f"{what} at {va:x}",
               fault_info(signal, fault.si_code, va))


def bad_iret(task: task_struct) -> None:
    """Make a return to ring 3 that IRETQ would refuse the program's SIGSEGV.

    See: Linux arch/x86/kernel/traps.c fixup_bad_iret().
    """
    regs = task_pt_regs(task)
    error_code = 0
    if regs.cs != USER_CS:
        error_code = regs.cs & SELECTOR_ERROR_MASK
    elif regs.ss != USER_DS:
        error_code = regs.ss & SELECTOR_ERROR_MASK
    _force_sig(task, regs, SIGSEGV, Vector.GP, error_code, "trap bad iret", kernel_info(SIGSEGV))


def pagefault_out_of_memory(task: task_struct) -> None:
    """Kill the process that a frame was wanted for.

    Raises:
        Sleep: always.
    """
    printk(task.k, KERN_ERR, f"Out of memory: Killed process {task.pid} ({_comm(task)})")
    do_group_exit(task, SIGKILL)


def _trap(task: task_struct, regs: pt_regs, vector: int) -> None:
    """Make an exception of ring 3 its signal.  See Linux do_trap()."""
    error_code = regs.orig_ax if vector in (Vector.TS, Vector.NP, Vector.SS, Vector.GP) else 0
    signal = _SIGNALS.get(Vector(vector))
    if signal is None:
        raise KernelPanic(f"exception {vector} from ring 3 at {regs.ip:#x}")
    code, va = _CODES.get(Vector(vector)), regs.ip
    if vector in (Vector.MF, Vector.XM):
        code = fpu_exception_code(task, simd=vector == Vector.XM)
        if not code:
            return  # it was dealt with meanwhile: the instruction is tried again
    elif vector == Vector.AC:
        va = 0  # Linux does not say where
    info = kernel_info(signal) if code is None else fault_info(signal, code, va)
    _force_sig(task, regs, signal, vector, error_code,
               f"trap {_NAMES.get(Vector(vector), Vector(vector).name)}", info)


def _force_sig(task: task_struct, regs: pt_regs, signal: int, vector: int, error_code: int,
               what: str, info: bytes) -> None:
    """Send a signal that can neither be blocked nor ignored, and log it if nobody handles it."""
    if sig_handler(task, signal) in (SIG_DFL, SIG_IGN) or task.blocked & sigmask(signal):
        _show_signal(task, regs, what, error_code)
    task.thread.trap_nr, task.thread.error_code = vector, error_code
    force_sig_info(task, signal, info)


def _comm(task: task_struct) -> str:
    return task.comm.decode("utf-8", "replace")


def _show_signal(task: task_struct, regs: pt_regs, what: str, error_code: int) -> None:
    """Log an unhandled fault.  See Linux show_signal_msg()."""
    printk(task.k, KERN_INFO, f"{_comm(task)}[{task.pid}]: {what} ip {regs.ip:x} sp {regs.sp:x} "
                              f"error {error_code:x}")


def _die(k: Kernel, regs: pt_regs, vector: int) -> None:
    """An exception in ring 0."""
    name = Vector(vector).name if vector in Vector._value2member_map_ else str(vector)
    cr2 = f", cr2 {k.data(pcpu_hot).cr2:#x}" if vector == Vector.PF else ""
    raise KernelPanic(f"Oops: #{name} in ring 0 at {regs.ip:#x}, error code "
                      f"{regs.orig_ax:#x}{cr2}")


# Interrupts

IRQ_HANDLERS: Final[dict[int, Callable[[Kernel], None]]] = {}

PIC_MASTER: Final = 0x20
PIC_SLAVE: Final = 0xA0
OCW2_EOI: Final = 0x20


def init_8259A(k: Kernel) -> None:
    """Set the interrupt controllers up for vectors 0x20 to 0x2F.  See Linux i8259.c."""
    out = k.machine.write
    for base, vector, wiring in ((PIC_MASTER, FIRST_IRQ_VECTOR, 4),
                                 (PIC_SLAVE, FIRST_IRQ_VECTOR + 8, 2)):
        out(base, 1, 0x11)  # ICW1: edge, cascade, ICW4 follows
        out(base + 1, 1, vector)  # ICW2
        out(base + 1, 1, wiring)  # ICW3: the slave is on IRQ 2
        out(base + 1, 1, 0x01)  # ICW4: 8086
    mask = 0xFFFF & ~(1 << TIMER_IRQ | 1 << SERIAL_IRQ | 1 << RUN_IRQ
                      | 1 << WINDOW_IRQ | 1 << 2)
    out(PIC_MASTER + 1, 1, mask & 0xFF)
    out(PIC_SLAVE + 1, 1, mask >> 8)


def do_IRQ(k: Kernel, irq: int) -> None:
    """Serve one interrupt."""
    irq_enter(k)
    out = k.machine.write
    if irq >= 8:
        out(PIC_SLAVE, 1, OCW2_EOI)
    out(PIC_MASTER, 1, OCW2_EOI)
    if irq == TIMER_IRQ:
        scheduler_tick(k)
        hrtimer_interrupt(k)
    elif handler := IRQ_HANDLERS.get(irq):
        handler(k)
    else:
        printk(k, KERN_ERR, f"irq {irq}: nobody cared")
    irq_exit(k)
