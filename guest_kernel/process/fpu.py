"""The FPU and SSE state of a task: an FXSAVE image, which ``__switch_to`` saves and loads.

See: Intel SDM vol. 1, "FXSAVE Area"; Linux arch/x86/kernel/fpu/.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.sched import task_struct

FXSAVE_SIZE: Final = 512
MXCSR_MASK: Final = 0xFFFF  # bits that the processor has; FXRSTOR of another one is #GP
_FCW: Final = 0x37F  # after FNINIT
_MXCSR: Final = 0x1F80  # all exceptions masked

INIT_FPSTATE: Final = (_FCW.to_bytes(2, "little") + bytes(22) + _MXCSR.to_bytes(4, "little")).ljust(
    FXSAVE_SIZE, b"\0")


def init_fpstate(task: task_struct) -> None:
    """Set the image to what a program begins with; the caller has it loaded."""
    task.fxsave[:] = INIT_FPSTATE


def valid_fpstate(image: bytes) -> bytes:
    """Return an image that a program has made, without the bits of MXCSR that FXRSTOR refuses."""
    mxcsr = int.from_bytes(image[24:28], "little") & MXCSR_MASK
    return image[:24] + mxcsr.to_bytes(4, "little") + image[28:]
