"""How a page fault that cannot be satisfied is said, and who is asked to satisfy one.

``uaccess`` takes the same fault path as the CPU, and that path (``memory``) reads files, whose
reads and writes again need ``uaccess``.  What the three share is here: ``memory`` registers itself.

See: Linux arch/x86/mm/fault.c; sigaction(2), "si_code".
"""

from __future__ import annotations

from collections.abc import Callable

from guest_kernel.errors import BUG
from guest_kernel.layout.mm_types import mm_struct
from guest_kernel.layout.sched import task_struct


class PageFaultFailed(Exception):
    """A fault that the caller turns into a signal, or into EFAULT.

    Attributes:
        va: CR2; becomes ``si_addr``.
        si_code: why.
    """

    def __init__(self, va: int, si_code: int) -> None:
        super().__init__(f"{type(self).__name__} at {va:#x}, si_code {si_code}")
        self.va = va
        self.si_code = si_code


class SegmentationFault(PageFaultFailed):
    """SIGSEGV: nothing is mapped there, or the mapping forbids the access."""


class BusError(PageFaultFailed):
    """SIGBUS: the page lies behind the end of the mapped file."""


_handle_mm_fault: Callable[[task_struct, int, int], None] | None = None
_fault_in: Callable[[mm_struct, int, bool], None] | None = None


def register_fault_handler(handle_mm_fault: Callable[[task_struct, int, int], None],
                           fault_in: Callable[[mm_struct, int, bool], None]) -> None:
    """Let these two satisfy faults: of the current task, and of any address space."""
    global _handle_mm_fault, _fault_in
    _handle_mm_fault = handle_mm_fault
    _fault_in = fault_in


def handle_user_fault(task: task_struct, va: int, error_code: int) -> None:
    """Call ``memory.handle_mm_fault``."""
    if _handle_mm_fault is None:
        BUG(f"fault at {va:#x}: nobody has registered to handle it")
    _handle_mm_fault(task, va, error_code)


def fault_in_page(mm: mm_struct, va: int, write: bool) -> None:
    """Call ``memory.fault_in``."""
    if _fault_in is None:
        BUG(f"fault at {va:#x}: nobody has registered to handle it")
    _fault_in(mm, va, write)
