"""Why the machine is where it is: from the page tables, the registers and the tasks themselves."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.arch.exceptions import PageFaultError, Vector
from ringlet.debugger.catch import interrupted, page_fault, switched, task_name
from ringlet.debugger.core import Debugger
from ringlet.debugger.stop import Reason
from ringlet.repl.views import walk


def explain(d: Debugger) -> str:
    """Say why the machine is where it is, from what the hardware and the kernel hold."""
    name = d.symbol_at(d.rip)  # with an offset, unless RIP is where it begins
    if name == "asm_exc_page_fault":
        return "\n".join(_explain_fault(d))
    if name == "__switch_to_asm":
        return "\n".join(_explain_switch(d))
    if name == "entry_SYSCALL_64":
        return ("The program has executed SYSCALL: the CPU has loaded RIP from IA32_LSTAR, put the "
                f"return address {d.register('rcx'):#x} into RCX and RFLAGS into R11, and cleared "
                "the flags of IA32_FMASK.\nRSP is still the program's.  See Intel SDM vol. 2B, "
                '"SYSCALL—Fast System Call".')
    last = d.last
    said = {
        Reason.BREAKPOINT: "A breakpoint of yours is here; the instruction has not been executed.",
        Reason.WATCHPOINT: "The instruction before this one has accessed what you watch.",
        Reason.STEP: "You have stepped here.", Reason.INTERRUPT: "You have interrupted it.",
        Reason.HANDLER: "The kernel's assembly is about to call its hosted half, in Python.",
        Reason.CATCHPOINT: "An event that you catch has happened.",
        Reason.TIMEOUT: "The clock has reached the limit.",
        Reason.EXITED: "The program has ended.",
        Reason.HALTED: "Every task sleeps, and no timer or input can wake one.",
        Reason.SHUTDOWN: "A fault in the delivery of a double fault: the CPU has shut down.",
    }[last.reason]
    return "\n".join(filter(None, [said, last.detail]))


def _explain_fault(d: Debugger) -> Iterator[str]:
    va, error = page_fault(d)
    at = interrupted(d, Vector.PF)
    kind = "fetched from" if error & PageFaultError.I else (
        "stored to" if error & PageFaultError.W else "loaded from")
    ring = 3 if error & PageFaultError.U else 0
    yield (f"The instruction at {at:#x} ({d.symbol_at(at) or '??'}), in ring {ring}, has {kind} "
           f"{va:#x}.")
    yield (f"Error code {error:#x}: P={error & 1} W={error >> 1 & 1} U={error >> 2 & 1} "
           f"RSVD={error >> 3 & 1} I={error >> 4 & 1}.")
    yield from walk(d, va)
    area = d.area_at(va)
    if area is None:
        yield "No mapping of the task's contains the address: the kernel will send SIGSEGV."
    elif not error & PageFaultError.P:
        yield (f"The mapping {area.rights} {area.name or '(anonymous)'} contains the address: the "
               "kernel will give it a page.")
    elif error & PageFaultError.W and area.rights[1] == "w" and area.rights[3] == "p":
        yield (f"The mapping {area.rights} {area.name or '(anonymous)'} may be written, but the "
               "frame is shared until somebody does: copy-on-write.")
    else:
        yield f"The mapping is {area.rights}: the kernel will send SIGSEGV."
    yield ('See Intel SDM vol. 3A, "Page-Fault Exceptions", "Determination of Access Rights"; '
           '"Interrupt 14—Page-Fault Exception (#PF)".')


def _explain_switch(d: Debugger) -> Iterator[str]:
    before, after = switched(d)
    yield f"The CPU goes from task {task_name(before)} to task {task_name(after)}."
    if before.exit_state:
        yield "The former has ended, and never runs again."
    elif before.on_rq:
        yield "The former could have gone on: its turn was over, or somebody more urgent woke up."
    else:
        info = next((t.state for t in d.system.tasks() if t.pid == before.pid), "")
        yield f"The former does not want to run: its state is {info}."
    yield ("RSP becomes the latter's thread.sp, and with it all that was pushed there when it was "
           "switched away from.")
