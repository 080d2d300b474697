"""``ringlet demo``: a small program, and what the machine looks like while it runs."""

from __future__ import annotations

import os
from typing import TextIO

from emulator import elf
from emulator.arch.paging import PTE
from emulator.cpu import mmu
from guest_kernel.hostcalls import Tracer
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.sched import task_struct
from ringlet.root import ASM
from ringlet.session import Session


class Watcher(Tracer):
    """Prints the page-table entry of one page of the program whenever it has changed."""

    def __init__(self, k: Kernel, va: int, out: TextIO, session: Session) -> None:
        self._k, self._va, self._out, self._session = k, va, out, session
        self._last: str | None = None

    def enter(self, task: task_struct, nr: int, regs: int) -> None:
        """Look at the entry before each system call."""
        entry = self._entry(task)
        if entry != self._last:
            self._last = entry
            self._show(f"    [page walk of {self._va:#x}: {entry}]\n")

    def leave(self, task: task_struct, nr: int, regs: int, result: int) -> None:
        """Pass on what the program has printed."""
        self._show("")

    def _show(self, text: str) -> None:
        console = self._session.machine.console
        self._out.write(console.decode("utf-8", "replace") + text)
        console.clear()

    def _entry(self, task: task_struct) -> str:
        assert task.mm is not None
        steps = mmu.steps(self._k.ram, task.mm.pgd & PHYSICAL_MASK, self._va)
        last = steps[-1]
        if not last.entry & PTE.P:
            return f"{last.level} entry {last.entry:#x}, not present"
        bits = "|".join(bit.name or "" for bit in PTE if last.entry & bit)
        return f"{last.level} entry {last.entry:#x}, {bits}"


def show(out: TextIO) -> int:
    """Boot, run ``/bin/demo``, and show rings, a fault, a timer tick and a page-table entry."""
    from userland.assembler import assemble_program

    program = assemble_program(os.path.join(ASM, "demo.asm"))
    page = elf.read(program).symbols["demo_page"]
    with Session() as session:
        out.write(f"booted in {session.machine.clock} ns of virtual time; the kernel says:\n")
        out.writelines(f"    {line}\n" for line in session.dmesg.splitlines())
        watcher = Watcher(session.kernel.k, page, out, session)
        result = session.run(["/bin/demo"], tracer=watcher)
        out.write(result.output.decode("utf-8", "replace"))
        out.write(f"exit status {result.status}\n")
        out.write(result.statistics.as_text())
        return result.status
